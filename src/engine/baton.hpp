// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Who may move a partition's frames. Held for one burst (microseconds), by an engine thread, a submitter, a waiter
/// or the control thread.

#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "base/asymmetric_fence.hpp"

namespace kfx::engine {

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// A lock that costs a thread next to nothing while no other one takes it: after a while of that it is *given* to that
/// thread, which then takes and leaves it with plain stores (an atomic read-modify-write costs about 20 cycles and the
/// wait for all stores before it; an op would need ten). Another thread takes it away again, for which it pays with a
/// system call (base/asymmetric_fence.hpp); whoever takes it away soon after it was given makes the next gift take
/// longer.
///
/// `word_` says who may change what: 0, free; `held`, by the thread that set it; `given`, and `owner_` says to whom.
/// The owner's steps are: its `inside` = 1, light fence, is it still mine? To take it away: `word_` from `given` to
/// `held`, `owner_` = null, heavy fence, wait for `inside` = 0. Of the two fences one comes first; then either the
/// owner sees null and steps back, or the other one sees `inside` and waits. Each thread has an `inside` of its own:
/// one that was held up in the middle of these steps may write it long after the baton was given to another.
class baton {
 public:
  /// For those who can do without: stands back for who cannot. Whoever waits looks at the submission queue when it lets
  /// go in its turn, so what was left there because of it is seen. A thread that lets go of it and *then* looks at the
  /// queue sees what was left there because it held it: see `unlock`.
  bool try_lock() noexcept {
    gift* const g = owner_.load(std::memory_order_acquire);
    if (g && g->thread == this_thread()) {
      // Not twice. (Acquired from an owner that ended, when its thread's address is used again.)
      if (g->inside.load(std::memory_order_acquire) != 0) return false;
      g->inside.store(1, std::memory_order_relaxed);
      base::light_fence();
      if (owner_.load(std::memory_order_relaxed) == g) [[likely]] {
        used_.store(g, std::memory_order_relaxed);
        return true;
      }
      g->inside.store(0, std::memory_order_release);
    }
    return try_take();
  }
  void lock() noexcept {
    if (!try_lock()) wait();
  }
  /// Fully fenced against a look at the submission queue that follows: a submitter that pushed and then found the baton
  /// held relies on it (partition::release). One that finds it given does not look on, but takes it away.
  void unlock() noexcept {
    if (gift* const g = used_.load(std::memory_order_relaxed)) {
      used_.store(nullptr, std::memory_order_relaxed);
      g->inside.store(0, std::memory_order_release);
      base::light_fence();
    } else {
      let_go();
    }
  }
  /// It was given to this thread.
  bool mine() const noexcept {
    const gift* const g = owner_.load(std::memory_order_acquire);
    return g && g->thread == this_thread();
  }
  /// Somebody waits for it: a thread that polls without end lets it have the CPU. Asked by its holder, mostly.
  bool wanted() const noexcept {
    return word_.load(std::memory_order_relaxed) >= waiter ||
           (used_.load(std::memory_order_relaxed) && !owner_.load(std::memory_order_relaxed));
  }

 private:
  static constexpr std::uint32_t held = 1, given = 2, waiter = 4;
  /// So often in a row by one thread, and it is given to it; twice as often each time it was taken away too soon.
  static constexpr std::uint32_t first_patience = 64, most_patience = 1u << 20;

  struct alignas(64) gift {
    const void* thread = nullptr;
    std::atomic<std::uint32_t> inside{0};  ///< written by that thread alone
  };
  /// Threads it can be given to in its life; more share it as they would any lock.
  static constexpr std::size_t most_gifts = 16;

  static const void* this_thread() noexcept {
    static thread_local const char here = 0;
    return &here;
  }

  bool try_take() noexcept;
  void wait() noexcept;
  void let_go() noexcept;
  void take_away() noexcept;
  gift* gift_for(const void* thread) noexcept;

  alignas(64) std::atomic<std::uint32_t> word_{0};
  // Of the holder.
  const void* last_ = nullptr;  ///< who had it last
  std::uint32_t in_a_row_ = 0;
  std::uint32_t patience_ = first_patience;
  std::int64_t given_at_ = 0;
  alignas(64) std::atomic<gift*> owner_{nullptr};
  std::atomic<gift*> used_{nullptr};  ///< by its holder: it has the baton as a gift
  std::array<gift, most_gifts> gifts_;
};

}  // namespace kfx::engine
