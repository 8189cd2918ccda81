// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Messages whose senders take the ack for success, and that nobody is done with yet. An ack goes as far as the oldest
/// of them; one that takes long is left behind with a word that its result comes later.

#include <cstdint>
#include <vector>

#include "kfx/detail/op_state.hpp"

namespace kfx::engine {

/// A ring in the order of arrival. It grows by doubling, as far as the credits of the session allow.
class open_messages {
 public:
  /// The place of one that does not hold back acks any more. It is noted in the message's `imm`, since its options
  /// belong to whoever holds it.
  static constexpr std::uint64_t left_behind = ~std::uint64_t{0};

  struct entry {
    detail::op_state* message;  ///< null: done with
    std::uint32_t before;       ///< frames that were taken ahead of it
    std::int64_t since;         ///< steady ns
  };

  bool empty() const noexcept { return first_ == next_; }
  const entry& oldest() const noexcept { return ring_[first_ & (ring_.size() - 1)]; }

  /// Where it is from now on.
  std::uint64_t add(detail::op_state& m, std::uint32_t before, std::int64_t now) {
    if (next_ - first_ == ring_.size()) grow();
    at(next_) = {&m, before, now};
    return next_++;
  }
  /// It does not hold back acks any more.
  void close(std::uint64_t position) noexcept {
    at(position).message = nullptr;
    while (!empty() && !oldest().message) ++first_;
  }
  template <class F>
  void each(F f) {
    for (std::uint64_t i = first_; i < next_; ++i)
      if (at(i).message) f(at(i));
  }
  void clear() noexcept { first_ = next_; }

 private:
  entry& at(std::uint64_t i) noexcept { return ring_[i & (ring_.size() - 1)]; }
  void grow() {
    std::vector<entry> bigger(ring_.empty() ? 16 : ring_.size() * 2);
    for (std::uint64_t i = first_; i < next_; ++i) bigger[i & (bigger.size() - 1)] = at(i);
    ring_ = std::move(bigger);
  }

  std::vector<entry> ring_;
  std::uint64_t first_ = 0;  ///< positions count on; the ring is indexed by their low bits
  std::uint64_t next_ = 0;
};

}  // namespace kfx::engine
