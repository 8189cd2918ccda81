// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Messages whose senders take the ack for success, and that nobody is done with yet. An ack goes as far as the oldest
/// of them; one that takes long is left behind with a word that its result comes later.

#include <cstdint>

#include "base/growing_ring.hpp"
#include "kfx/detail/op_state.hpp"

namespace kfx::engine {

/// In the order of arrival; as many as the credits of the session allow.
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

  bool empty() const noexcept { return entries_.empty(); }
  const entry& oldest() const noexcept { return entries_.front(); }

  /// Where it is from now on.
  std::uint64_t add(detail::op_state& m, std::uint32_t before, std::int64_t now) {
    return entries_.push({&m, before, now});
  }
  /// It does not hold back acks any more.
  void close(std::uint64_t place) noexcept {
    entries_[place].message = nullptr;
    while (!empty() && !oldest().message) entries_.pop();
  }
  template <class F>
  void each(F f) {
    for (std::uint64_t i = entries_.first(); i < entries_.next(); ++i)
      if (entries_[i].message) f(entries_[i]);
  }
  void clear() noexcept { entries_.clear(); }

 private:
  base::growing_ring<entry, 16> entries_;
};

}  // namespace kfx::engine
