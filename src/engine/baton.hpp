// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Who may move a partition's frames. Held for one burst (microseconds), by an engine thread, a submitter, a waiter
/// or the control thread.

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <thread>

namespace kfx::engine {

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class baton {
 public:
  /// For those who can do without: stands back for who cannot. Whoever waits looks at the submission queue when it lets
  /// go in its turn, so what was left there because of it is seen.
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.load(std::memory_order_seq_cst) == 0 &&
           word_.compare_exchange_strong(free, held, std::memory_order_seq_cst);
  }
  void lock() noexcept {
    if (try_lock()) return;
    word_.fetch_add(waiter, std::memory_order_seq_cst);
    for (unsigned spins = 0;; ++spins) {
      std::uint32_t now = word_.load(std::memory_order_seq_cst);
      if (!(now & held) && word_.compare_exchange_strong(now, (now - waiter) | held, std::memory_order_seq_cst)) return;
      if (spins < 128)
        cpu_relax();
      else
        sched_yield();
    }
  }
  /// Sequentially consistent: a submitter that pushed and then found the baton held relies on the holder's look at
  /// the submission queue after this store (partition::release).
  void unlock() noexcept { word_.fetch_sub(held, std::memory_order_seq_cst); }
  /// Somebody waits for it: a thread that polls without end lets it have the CPU.
  bool wanted() const noexcept { return word_.load(std::memory_order_relaxed) >= waiter; }

 private:
  static constexpr std::uint32_t held = 1, waiter = 2;
  alignas(64) std::atomic<std::uint32_t> word_{0};
};

}  // namespace kfx::engine
