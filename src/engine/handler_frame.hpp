// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A handler that runs, and the messages it let go of: most are, before it returns, and then they need no way of their
/// own back to the engine.

#include <array>
#include <atomic>
#include <cstdint>

#include "base/asymmetric_fence.hpp"
#include "engine/partition.hpp"
#include "engine/session.hpp"
#include "kfx/detail/op_state.hpp"

namespace kfx::engine {

/// On the stack of the thread that runs the handler. That thread alone adds messages; whoever holds the baton finishes
/// them: itself when the handler has returned, or somebody who polls while it is at something that takes long.
struct handler_frame {
  partition* const home;
  handler_frame* const outer;     ///< of the same thread: a handler may poll another node
  handler_frame* next = nullptr;  ///< of the partition; baton
  std::atomic<std::uint32_t> dropped{0};
  std::uint32_t finished = 0;  ///< of them; baton
  bool lone;                   ///< it runs for one message, beside which nothing waits
  std::array<detail::op_state*, 31> messages;

  inline static constinit thread_local handler_frame* current = nullptr;

  handler_frame(partition& p, bool lone) noexcept : home(&p), outer(current), lone(lone) { current = this; }
  ~handler_frame() { current = outer; }
  handler_frame(const handler_frame&) = delete;

  /// False: no handler of its partition runs on this thread, or it has let go of too many.
  static bool takes(detail::op_state& m) noexcept {
    handler_frame* const f = current;
    if (!f || f->home != m.home) return false;
    const std::uint32_t n = f->dropped.load(std::memory_order_relaxed);
    if (n == f->messages.size()) return false;
    f->messages[n] = &m;
    f->dropped.store(n + 1, std::memory_order_release);
    // Who goes to sleep says so and then looks here once more (partition::dropped_meanwhile).
    base::light_fence();
    f->home->wake_sleeper();
    return true;
  }
};

inline void partition::finish_dropped(handler_frame& f) {
  for (const std::uint32_t n = f.dropped.load(std::memory_order_acquire); f.finished != n;) {
    detail::op_state& m = *f.messages[f.finished++];
    m.owner->finish_message(m);
  }
}

}  // namespace kfx::engine
