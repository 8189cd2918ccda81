// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// One-sided access within one process: the initiator's thread copies, inside the call, under the owner's lock.

#include <deque>
#include <mutex>
#include <vector>

#include "base/completions.hpp"
#include "base/cursor.hpp"
#include "kfx/backend/remote_memory.hpp"

namespace kfx::loopback {

using base::completions;
using base::copy;
using base::cursor;
using base::total;

/// What one end of a link shares with the other. Used by both ends' threads.
class export_table {
 public:
  result<backend::direct_key> share(std::span<const mutable_buffer>, access rights);
  /// Waits for a copy under way (at most `max_bytes` of one put or get) and excludes all later ones.
  void withdraw(backend::direct_key);
  /// Withdraws everything, for good.
  void detach();

  /// Whether `bytes` at `offset` may be accessed so.
  std::error_code check(backend::direct_key, std::uint64_t offset, std::size_t bytes, access wanted);
  std::error_code put(backend::direct_key, std::uint64_t offset, std::span<const const_buffer> from);
  std::error_code get(backend::direct_key, std::uint64_t offset, std::span<const mutable_buffer> into);

 private:
  /// A key is a slot and how often the slot was used before; a slot whose count is used up is not used again.
  struct exported {
    std::vector<mutable_buffer> memory;
    std::uint64_t bytes = 0;
    std::uint16_t generation = 0;
    access rights{};
    bool live = false;
  };
  exported* find(backend::direct_key) noexcept;
  std::error_code allowed(const exported*, std::uint64_t offset, std::size_t bytes, access wanted) const noexcept;

  std::mutex lock_;
  std::deque<exported> slots_;
  std::vector<std::uint16_t> free_;
  bool detached_ = false;
};

/// One end's view: shares from its own table, puts into and gets from the other end's.
class loopback_memory final : public backend::remote_memory {
 public:
  loopback_memory(export_table& own, export_table& peer) : own_(own), peer_(peer) {}

  const backend::memory_caps& caps() const noexcept override { return caps_; }
  result<backend::direct_key> share(std::span<const mutable_buffer> memory, access rights, backend::sharing) override;
  void withdraw(backend::direct_key key) override { own_.withdraw(key); }
  backend::started put(backend::direct_key, std::uint64_t offset, std::span<const const_buffer> from,
                       backend::cookie) override;
  backend::started get(backend::direct_key, std::uint64_t offset, std::span<const mutable_buffer> into,
                       backend::cookie) override;
  bool flush(backend::cookie) override;

  /// For the link: what ended since the last report.
  completions& ended() noexcept { return ended_; }
  void close() noexcept;

 private:
  static constexpr backend::memory_caps caps_{limits::fragments, limits::fragments, 1u << 20, true, true, true};

  export_table& own_;
  export_table& peer_;
  completions ended_;
  bool closed_ = false;
};

}  // namespace kfx::loopback
