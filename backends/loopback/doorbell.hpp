// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// How one end of a loopback link wakes the other, and only when that one sleeps.

#include <atomic>

#include "backends/loopback/native_sync.hpp"

namespace kfx::loopback {

/// Belongs to the end that sleeps on it.
///
/// Memory order, or why no wake-up is lost: the sleeper sets `wants_` and then looks at the queues; the waker
/// publishes to a queue and then looks at `wants_`. Both look at `wants_` by a read-modify-write with acquire and
/// release, and all of those on one atomic have one order. If the sleeper's comes first, the waker reads its bits and
/// signals. If the waker's comes first, the sleeper's reads a value from the waker's release sequence, so what was
/// published before is visible to the look that follows. No fence is needed (and TSan, which knows none, agrees).
template <class Sync>
class basic_doorbell {
 public:
  enum reason : unsigned { data = 1, room = 2 };

  bool ok() const noexcept { return event_.fd() >= 0; }
  int fd() const noexcept { return event_.fd(); }

  /// Sleeper: from now on those reasons signal. The caller looks at its queues after this.
  void arm(unsigned reasons) noexcept {
    event_.reset();
    wants_.exchange(reasons, std::memory_order_acq_rel);
  }
  /// Sleeper: awake again.
  void disarm() noexcept {
    wants_.exchange(0, std::memory_order_acq_rel);
    event_.reset();
  }
  void signal() noexcept { event_.set(); }
  /// Waker: something of that kind was published.
  void ring(unsigned reasons) noexcept {
    if (wants_.fetch_and(~reasons, std::memory_order_acq_rel) & reasons) signal();
  }

 private:
  typename Sync::event event_;
  alignas(64) typename Sync::template atomic<unsigned> wants_{0};
};

using doorbell = basic_doorbell<native_sync>;

}  // namespace kfx::loopback
