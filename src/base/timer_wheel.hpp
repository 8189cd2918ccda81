// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Deadlines by the thousand: add and remove in constant time, without memory of its own beyond the wheel.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kfx/detail/op_state.hpp"

namespace kfx::base {

/// A hierarchical wheel of ticks of 2^20 ns (about 1 ms). A timer never fires early, and at most a tick late. One
/// thread at a time. Timers still in it when it goes must not be removed later.
///
/// A tick number is a row of digits to the base 64, one level a digit. A timer stands at the level of the highest
/// digit in which its tick differs from the current one, in the slot of that digit's value; so everything at a level
/// comes before everything at the next one, and slots at or before the current digit are empty.
class timer_wheel {
 public:
  using links = detail::timer_links;
  static constexpr std::int64_t tick_ns = std::int64_t{1} << 20;
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();

  /// `now`: steady nanoseconds, as in `advance`.
  explicit timer_wheel(std::int64_t now = 0) noexcept : current_(now > 0 ? now >> tick_bits : 0) {
    clear(due_);
    for (auto& level : slots_)
      for (links& slot : level) clear(slot);
  }
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  static bool linked(const links& t) noexcept { return t.prev != nullptr; }

  /// `t.expiry` is set and `t` is not linked. One already past fires in the next `advance`.
  void add(links& t) noexcept {
    ++size_;
    place(t);
  }

  /// Harmless when it is not linked (its `prev` is null). Allowed inside `advance`'s callback, for any timer.
  void remove(links& t) noexcept {
    if (!linked(t)) return;
    --size_;
    unlink(t);
  }

  /// Calls `f(links&)` for each timer due at `now`, unlinked. The callback may add and remove timers; one it adds that
  /// is due already waits for the next call. How many fired.
  template <class F>
  std::size_t advance(std::int64_t now, F&& f) {
    const std::int64_t target = now >> tick_bits;
    std::size_t fired = fire(due_, f);
    for (;;) {
      const event e = first_event();
      if (e.tick > target) break;
      current_ = e.tick;
      occupied_[e.level] &= ~(std::uint64_t{1} << e.slot);
      links& slot = slots_[e.level][e.slot];
      if (e.level == 0) {
        fired += fire(slot, f);
        continue;
      }
      // Its ticks agree with the current one in this digit now: they move to lower levels, or are due.
      links moving;
      splice(slot, moving);
      links now_due;
      clear(now_due);
      while (links* t = pop(moving)) tick_of(t->expiry) <= current_ ? append(now_due, *t) : place(*t);
      fired += fire(now_due, f);
    }
    if (target > current_) current_ = target;
    return fired;
  }

  /// Sleep until then at the latest: the earliest expiry rounded up to a tick, or something earlier (then nothing may
  /// fire, and the next answer is closer). `none` when there is no timer; 0 when one is due now.
  std::int64_t next() const noexcept {
    if (due_.next != &due_) return 0;
    const event e = first_event();
    return e.tick > none >> tick_bits ? none : e.tick << tick_bits;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  static constexpr int tick_bits = 20;
  static constexpr int digit_bits = 6;
  static constexpr int digits = 8;  // 48 bits: every tick of a 63-bit time
  static constexpr std::size_t slots = std::size_t{1} << digit_bits;

  struct event {
    std::int64_t tick = none;
    std::size_t level = 0;
    std::size_t slot = 0;
  };

  static std::int64_t tick_of(std::int64_t expiry) noexcept {
    return (expiry >> tick_bits) + ((expiry & (tick_ns - 1)) != 0);
  }

  void place(links& t) noexcept {
    const std::int64_t tick = tick_of(t.expiry);
    if (tick <= current_) return append(due_, t);
    const auto differs = static_cast<std::uint64_t>(tick ^ current_);
    const std::size_t level = static_cast<std::size_t>(std::bit_width(differs) - 1) / digit_bits;
    const std::size_t slot = static_cast<std::size_t>(tick >> (level * digit_bits)) % slots;
    occupied_[level] |= std::uint64_t{1} << slot;
    append(slots_[level][slot], t);
  }

  event first_event() const noexcept {
    for (std::size_t level = 0; level < digits; ++level) {
      if (!occupied_[level]) continue;
      const auto slot = static_cast<std::size_t>(std::countr_zero(occupied_[level]));
      const std::size_t shift = level * digit_bits;
      const std::int64_t above = current_ >> (shift + digit_bits) << (shift + digit_bits);
      return {above | static_cast<std::int64_t>(slot) << shift, level, slot};
    }
    return {};
  }

  template <class F>
  std::size_t fire(links& list, F& f) {
    links firing;
    splice(list, firing);
    std::size_t n = 0;
    while (links* t = pop(firing)) {
      --size_;
      ++n;
      f(*t);
    }
    return n;
  }

  static void clear(links& list) noexcept { list.next = list.prev = &list; }
  static void append(links& list, links& t) noexcept {
    t.next = &list;
    t.prev = list.prev;
    list.prev->next = &t;
    list.prev = &t;
  }
  static links* pop(links& list) noexcept {
    links* t = list.next;
    if (t == &list) return nullptr;
    list.next = t->next;
    t->next->prev = &list;
    t->next = t->prev = nullptr;
    return t;
  }
  static void splice(links& from, links& to) noexcept {
    clear(to);
    if (from.next == &from) return;
    to = from;
    to.next->prev = to.prev->next = &to;
    clear(from);
  }
  void unlink(links& t) noexcept {
    t.prev->next = t.next;
    t.next->prev = t.prev;
    // The last of a slot leaves its bit behind otherwise, and `next` would wake for nothing.
    if (t.next == t.prev) mark_empty(t.next);
    t.next = t.prev = nullptr;
  }
  void mark_empty(const links* list) noexcept {
    const auto offset = reinterpret_cast<std::uintptr_t>(list) - reinterpret_cast<std::uintptr_t>(&slots_);
    if (offset >= sizeof slots_) return;  // the due list, or one being fired
    const std::size_t place = offset / sizeof(links);
    occupied_[place / slots] &= ~(std::uint64_t{1} << (place % slots));
  }

  std::int64_t current_;
  std::size_t size_ = 0;
  std::array<std::uint64_t, digits> occupied_{};
  links due_;
  std::array<std::array<links, slots>, digits> slots_;
};

}  // namespace kfx::base
