// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a session has emitted and the peer has not acknowledged: the replay buffer, without its bytes. An entry says
/// how to build the frame again from its op.

#include <cstdint>
#include <vector>

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

/// A ring that grows by doubling and gives its memory back when it empties after a large burst.
class tx_log {
 public:
  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  std::uint32_t numbered() const noexcept { return numbered_; }

  void push(const tx_entry& e) {
    if (size_ == ring_.size()) grow();
    ring_[(first_ + size_++) & (ring_.size() - 1)] = e;
    numbered_ += e.numbered;
  }
  tx_entry& front() noexcept { return ring_[first_ & (ring_.size() - 1)]; }
  tx_entry& at(std::size_t i) noexcept { return ring_[(first_ + i) & (ring_.size() - 1)]; }
  tx_entry pop() noexcept {
    tx_entry e = front();
    ++first_;
    --size_;
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
  void trim() {
    if (size_ == 0 && ring_.size() > 256) {
      ring_ = {};
      first_ = 0;
    }
  }

 private:
  void grow() {
    std::vector<tx_entry> bigger(ring_.empty() ? 32 : ring_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) bigger[i] = at(i);
    ring_ = std::move(bigger);
    first_ = 0;
  }

  std::vector<tx_entry> ring_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::uint32_t numbered_ = 0;
};

}  // namespace kfx::engine
