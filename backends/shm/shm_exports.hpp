// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The owner's table: what it shares with the peer of one link, and how it gets it back.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/shm/shm_cross.hpp"
#include "backends/shm/shm_imports.hpp"
#include "backends/shm/shm_page.hpp"
#include "kfx/backend/remote_memory.hpp"
#include "memory/slab.hpp"

namespace kfx::shm {

/// The most that one put or get moves: what an owner has to take back page by page from a peer that is stopped.
inline constexpr std::size_t most_bytes = 256 * 1024;

/// Any thread, until `close`; what it was given stays until then.
class export_table final : public memory::slab::watcher, public std::enable_shared_from_this<export_table> {
 public:
  export_table(int socket, page& own, const page& peer, const neighbour& n, bulk way);

  result<backend::direct_key> share(mutable_buffer, access rights, backend::sharing);
  /// Returns when the peer is out of that memory and will not come back: at once unless it is in there, within about
  /// 2 ms and the copy of one access for what is mapped, whatever the peer does.
  void withdraw(backend::direct_key);
  /// All of it, for good.
  void close() noexcept;

  void file_lost(std::uint64_t serial) noexcept override;

 private:
  /// One key. Mapped memory stays while it has one.
  struct entry {
    backend::direct_key key = 0;  ///< 0: free
    bool cross = false;
    std::size_t file = 0;
    std::shared_ptr<memory::slab> slab;
  };
  /// A slab's file as the peer has it.
  struct file {
    std::uint64_t serial = 0;  ///< 0: free
    bool writable = false;
    bool lost = false;  ///< the peer was not told yet that it may forget it
  };

  result<backend::direct_key> share_mapped(mutable_buffer, const std::shared_ptr<memory::slab>&, access rights);
  result<backend::direct_key> share_cross(mutable_buffer, access rights);
  std::size_t file_of(const memory::slab&, bool writable, bool& fresh);
  result<backend::direct_key> publish(entry, const control&, int fd);
  bool take_slot(std::uint32_t& slot);
  void tell_lost() noexcept;
  void settle(const entry&) noexcept;
  bool leaves_within(backend::direct_key, std::chrono::microseconds) const noexcept;
  bool is_inside(backend::direct_key) const noexcept;

  const int socket_;
  page* own_;
  const page* peer_;
  const neighbour& neighbour_;
  const bulk way_;

  std::mutex mutex_;
  std::vector<entry> entries_;             ///< by slot
  std::vector<std::uint32_t> generation_;  ///< by slot
  std::deque<std::uint32_t> free_;
  std::vector<file> files_;
  bool some_lost_ = false;  ///< a file of which the peer was not told yet
  bool closed_ = false;
};

}  // namespace kfx::shm
