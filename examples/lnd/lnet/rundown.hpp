// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Counts who is inside, and waits at the end until nobody is.

#include <atomic>
#include <cstdint>

namespace lnet {

class rundown {
 public:
  /// False: closed, and nobody came in.
  bool enter() noexcept {
    if (!(inside_.fetch_add(1, std::memory_order_acq_rel) & closed)) return true;
    leave();
    return false;
  }
  /// The object may be gone as soon as the last one has left; waking needs no more than its address.
  void leave() noexcept {
    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == (closed | 1)) inside_.notify_all();
  }
  void close() noexcept { inside_.fetch_or(closed, std::memory_order_acq_rel); }
  void wait() const noexcept {
    for (auto seen = inside_.load(std::memory_order_acquire); seen & ~closed;
         seen = inside_.load(std::memory_order_acquire))
      inside_.wait(seen, std::memory_order_acquire);
  }
  std::uint32_t count() const noexcept { return inside_.load(std::memory_order_relaxed) & ~closed; }

 private:
  static constexpr std::uint32_t closed = 1u << 31;
  // What the kernel can wait for directly: no other thread's memory is read once it is zero.
  std::atomic<std::uint32_t> inside_{0};
};

}  // namespace lnet
