// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Access to another process's memory through the kernel (process_vm_readv, process_vm_writev).

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include "backends/shm/descriptor.hpp"
#include "backends/shm/shm_page.hpp"
#include "kfx/types.hpp"

namespace kfx::shm {

/// How bulk data moves; `bulk=` of the connecting side's URI, for both directions.
enum class bulk : std::uint32_t { best, mapped, cross, ring };
/// By its name, or nothing.
bool parse_bulk(const std::string& name, bulk&) noexcept;

/// The process at the other end of a socket.
class neighbour {
 public:
  neighbour() = default;
  /// `pages`: where, in its own memory, its page is.
  neighbour(int socket, std::uint64_t pages);

  /// Whether this process can read that one's memory, shown by reading its nonce; `why` not.
  bool reachable(const page& as_mapped, std::string& why) const;
  /// It has ended: it executes nothing any more, and its number may soon be another's.
  bool ended() const noexcept;

  /// One system call; what it took place before is said by the kernel as well, so that a process that is stopped on its
  /// way back from the call need not say it: a put marks `done` in the peer's page, a get clears `own.busy`.
  std::error_code put(std::uint64_t address, std::span<const const_buffer> from, std::size_t bytes,
                      std::uint64_t stamp) const;
  std::error_code get(std::uint64_t address, std::span<const mutable_buffer> into, std::size_t bytes, page& own) const;

  /// Seconds that `bytes` of the peer's ring take to read (the least of a few tries); negative when it fails.
  double time_to_read(std::size_t bytes) const;

 private:
  int socket_ = -1;  ///< of the pair
  pid_t pid_ = 0;
  descriptor alive_;  ///< readable once it has ended; none on old kernels
  std::uint64_t pages_ = 0;
};

/// From how many bytes on the kernel's way beats two copies through a ring here; nothing: never. Estimated from 4 KiB
/// and 64 KiB with the first neighbour and kept, since it is the kernel's and the processor's doing. `text` says what
/// was found.
std::optional<std::size_t> faster_than_ring_from(const neighbour&, std::string& text);

}  // namespace kfx::shm
