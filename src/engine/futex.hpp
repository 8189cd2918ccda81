// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Sleeping on a word, with a time limit, which std::atomic::wait does not have.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

namespace kfx::engine {

/// Sleeps while `word` is `seen`, until woken or the steady time `until` (ns) has come. Spurious returns happen.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen, std::int64_t until) noexcept {
  static_assert(sizeof(word) == 4);
  timespec at{static_cast<time_t>(until / 1'000'000'000), static_cast<long>(until % 1'000'000'000)};
  const bool forever = until == INT64_MAX;
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, seen, forever ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
}

inline void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace kfx::engine
