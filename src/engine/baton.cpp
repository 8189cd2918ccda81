// SPDX-License-Identifier: BSD-2-Clause
#include "engine/baton.hpp"

#include <algorithm>

#include "engine/partition.hpp"

namespace kfx::engine {
namespace {

/// A gift that lasted shorter was a mistake: taking it away cost more than it saved.
constexpr std::int64_t worth_it = 1'000'000;

void pause(unsigned spins) noexcept {
  if (spins < 128)
    cpu_relax();
  else
    sched_yield();
}

}  // namespace

bool baton::try_take() noexcept {
  std::uint32_t seen = word_.load(std::memory_order_seq_cst);
  if (seen == 0) return word_.compare_exchange_strong(seen, held, std::memory_order_seq_cst);
  if (seen != given || !word_.compare_exchange_strong(seen, held, std::memory_order_seq_cst)) return false;
  take_away();
  return true;
}

/// With `word_` held.
void baton::take_away() noexcept {
  patience_ = now_ns() - given_at_ < worth_it ? std::min(2 * patience_, most_patience) : first_patience;
  in_a_row_ = 0;
  const gift* const g = owner_.load(std::memory_order_relaxed);
  owner_.store(nullptr, std::memory_order_relaxed);
  base::heavy_fence();
  for (unsigned spins = 0; g->inside.load(std::memory_order_acquire) != 0; ++spins) pause(spins);
}

/// Null: it was given to too many.
baton::gift* baton::gift_for(const void* thread) noexcept {
  for (gift& g : gifts_) {
    if (!g.thread) g.thread = thread;
    if (g.thread == thread) return &g;
  }
  return nullptr;
}

void baton::wait() noexcept {
  word_.fetch_add(waiter, std::memory_order_seq_cst);
  for (unsigned spins = 0;; ++spins) {
    std::uint32_t seen = word_.load(std::memory_order_seq_cst);
    const bool taken = !(seen & held) && word_.compare_exchange_strong(seen, ((seen & ~given) - waiter) | held,
                                                                       std::memory_order_seq_cst);
    if (taken) {
      if (seen & given) take_away();
      return;
    }
    pause(spins);
  }
}

void baton::let_go() noexcept {
  const void* const me = this_thread();
  in_a_row_ = last_ == me ? in_a_row_ + 1 : 0;
  last_ = me;
  gift* const g = in_a_row_ >= patience_ ? gift_for(me) : nullptr;
  if (g) {
    given_at_ = now_ns();
    owner_.store(g, std::memory_order_release);
    std::uint32_t mine = held;
    if (word_.compare_exchange_strong(mine, given, std::memory_order_seq_cst)) return;
    owner_.store(nullptr, std::memory_order_relaxed);  // somebody waits for it
  }
  word_.fetch_sub(held, std::memory_order_seq_cst);
}

}  // namespace kfx::engine
