// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A fence whose cost one side bears. Where one thread stores and then looks, and another does the same the other way
/// round, each needs a full fence between its two steps (about 20 cycles, and the wait for every store before it). If
/// one of them does so all the time and the other hardly ever, the rare one can make the frequent one's processor do
/// it: Linux's membarrier(2), private expedited, since 4.14.

#include <atomic>

namespace kfx::base {

namespace fences {
extern const bool have_membarrier;
bool announce_everywhere() noexcept;
void heavy_fence_by_kernel() noexcept;
}  // namespace fences

/// The frequent side, between its store and its load.
inline void light_fence() noexcept {
  if (fences::have_membarrier) [[likely]]
    std::atomic_signal_fence(std::memory_order_seq_cst);
  else
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

/// The rare side, in the same place: a system call, one to three microseconds. After it, whatever a thread stored ahead
/// of a `light_fence` that it has passed is visible here, and whatever it loads behind one that it has yet to pass
/// sees what this thread stored before.
inline void heavy_fence() noexcept {
  if (fences::have_membarrier)
    fences::heavy_fence_by_kernel();
  else
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

/// Between processes that share memory. False: it is refused here, and everybody must fence. Else from now on this
/// process is one whose light fences (a compiler's: `std::atomic_signal_fence`) heavy fences of others pair with.
inline bool join_fences_everywhere() noexcept {
  static const bool joined = fences::announce_everywhere();
  return joined;
}
/// As `heavy_fence`, for every process that has joined. This one has.
void heavy_fence_everywhere() noexcept;

}  // namespace kfx::base
