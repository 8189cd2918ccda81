// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Whether a thread that spins has its CPU to itself. Where others want it too, spinning keeps it from them, perhaps
/// from the very one that is waited for, until the scheduler steps in: milliseconds, a thousand times what a sleep
/// costs.

#include <cstdint>

namespace kfx::engine {

/// Of one thread that spins. Asked again and again, it sees time that it did not have.
class crowd {
 public:
  /// Steady ns. True: the CPU was somebody else's in between, or was not long ago.
  bool around(std::int64_t now) noexcept {
    if (now - asked_ > taken_away && asked_ != 0) until_ = now + lasts;
    asked_ = now;
    return now < until_;
  }
  /// It slept, so that the time since was given away and not taken.
  void slept() noexcept { asked_ = 0; }

 private:
  /// No round takes that long, and no scheduler gives less to who wants a CPU.
  static constexpr std::int64_t taken_away = 1'000'000;
  static constexpr std::int64_t lasts = 20'000'000;
  std::int64_t asked_ = 0;
  std::int64_t until_ = 0;
};

/// This thread's.
inline crowd& crowd_of_thread() noexcept {
  static thread_local crowd c;
  return c;
}

}  // namespace kfx::engine
