// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Memory that two processes map, and what each may do with it.

#include <cstddef>
#include <optional>
#include <string>

#include "backends/shm/descriptor.hpp"

namespace kfx::shm {

/// The same file, opened read-only. Nothing without /proc.
descriptor read_only(int fd);

/// Pages mapped from a memory file; unmapped with it. A child forked meanwhile does not have them.
class mapping {
 public:
  mapping() = default;
  /// Null on failure (errno).
  mapping(int fd, std::size_t bytes, bool writable) noexcept;
  mapping(mapping&& o) noexcept : data_(std::exchange(o.data_, nullptr)), bytes_(o.bytes_) {}
  mapping& operator=(mapping&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  ~mapping();

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// One's own pages, and a descriptor through which a peer maps them.
struct shared_pages {
  mapping pages;       ///< writable
  descriptor to_give;  ///< sealed: of this size for ever
};

/// Fresh zeroes in a memory file that has no name anywhere. `writable`: the peer may write too, else its descriptor is
/// read-only and the file sealed against writable mappings to come. Nothing on failure; `why` says what failed.
std::optional<shared_pages> make_shared_pages(std::size_t bytes, bool writable, std::string& why);

/// Whether it is a memory file of exactly that size which nobody can shrink: reading it cannot fault.
bool is_sealed_file(const descriptor&, std::size_t bytes, std::string& why);

/// Maps what a peer gave, once it is known to be a memory file of exactly that size which nobody can shrink.
std::optional<mapping> map_given(const descriptor&, std::size_t bytes, bool writable, std::string& why);

}  // namespace kfx::shm
