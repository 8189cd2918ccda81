// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// How one end of a loopback link wakes the other, and only when that one sleeps.

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace kfx::loopback {

/// Belongs to the end that sleeps on it.
///
/// Memory order, or why no wake-up is lost: the sleeper sets `wants_` and then looks at the queues; the waker
/// publishes to a queue and then looks at `wants_`. Both look at `wants_` by a read-modify-write with acquire and
/// release, and all of those on one atomic have one order. If the sleeper's comes first, the waker reads its bits and
/// signals. If the waker's comes first, the sleeper's reads a value from the waker's release sequence, so what was
/// published before is visible to the look that follows. No fence is needed (and TSan, which knows none, agrees).
class doorbell {
 public:
  enum reason : unsigned { data = 1, room = 2 };

  doorbell() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~doorbell() {
    if (fd_ >= 0) ::close(fd_);
  }
  doorbell(const doorbell&) = delete;
  doorbell& operator=(const doorbell&) = delete;

  bool ok() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }

  /// Sleeper: from now on those reasons signal. The caller looks at its queues after this.
  void arm(unsigned reasons) noexcept {
    drain();
    wants_.exchange(reasons, std::memory_order_acq_rel);
  }
  /// Sleeper: awake again.
  void disarm() noexcept {
    wants_.exchange(0, std::memory_order_acq_rel);
    drain();
  }
  void signal() noexcept {
    const std::uint64_t one = 1;
    // The counter cannot overflow in practice, and then the descriptor is readable already.
    [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
  }
  /// Waker: something of that kind was published.
  void ring(unsigned reasons) noexcept {
    if (wants_.fetch_and(~reasons, std::memory_order_acq_rel) & reasons) signal();
  }

 private:
  void drain() noexcept {
    std::uint64_t count;
    [[maybe_unused]] const auto got = ::read(fd_, &count, sizeof count);
  }

  int fd_;
  alignas(64) std::atomic<unsigned> wants_{0};
};

}  // namespace kfx::loopback
