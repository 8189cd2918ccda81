// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a session has emitted and the peer has not acknowledged: the replay buffer, without its bytes. An entry says
/// how to build the frame again from its op.

#include <cstdint>

#include "base/growing_ring.hpp"
#include "kfx/detail/op_state.hpp"
#include "wire/frame.hpp"

namespace kfx::engine {

struct tx_entry {
  detail::op_state* op = nullptr;
  std::uint64_t offset = 0;  ///< within the op
  std::uint32_t length = 0;
  wire::type type{};
  std::uint8_t flags = 0;
  bool numbered = true;  ///< false: a one-sided put or get, which takes no number
};

/// Gives its memory back when it empties after a large burst.
class tx_log {
 public:
  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  std::uint32_t numbered() const noexcept { return numbered_; }

  [[gnu::always_inline]] void push(const tx_entry& e) {
    entries_.push(e);
    numbered_ += e.numbered;
  }
  tx_entry& front() noexcept { return entries_.front(); }
  tx_entry& at(std::size_t i) noexcept { return entries_[entries_.first() + i]; }
  tx_entry pop() noexcept {
    const tx_entry e = front();
    entries_.pop();
    numbered_ -= e.numbered;
    return e;
  }
  /// Changes an entry into a numbered one (a put that is replayed as a frame).
  void number(std::size_t i) noexcept {
    tx_entry& e = at(i);
    numbered_ += !e.numbered;
    e.numbered = true;
  }
  /// Idle sessions hold no ring.
  void trim() noexcept { entries_.trim(256); }

 private:
  base::growing_ring<tx_entry, 32> entries_;
  std::uint32_t numbered_ = 0;
};

}  // namespace kfx::engine
