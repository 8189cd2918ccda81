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
  bool try_lock() noexcept {
    return held_.load(std::memory_order_seq_cst) == 0 && held_.exchange(1, std::memory_order_seq_cst) == 0;
  }
  void lock() noexcept {
    for (unsigned spins = 0; !try_lock(); ++spins) {
      if (spins < 128)
        cpu_relax();
      else
        sched_yield();
    }
  }
  /// Sequentially consistent: a submitter that pushed and then found the baton held relies on the holder's look at
  /// the submission queue after this store (partition::release).
  void unlock() noexcept { held_.exchange(0, std::memory_order_seq_cst); }

 private:
  alignas(64) std::atomic<std::uint32_t> held_{0};
};

}  // namespace kfx::engine
