// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Ops of one lane in one role, in order. Requests and answers of a lane are separate queues: an answer never waits
/// behind a request that waits for a credit, so two nodes that answer each other cannot starve.

#include <cstdint>

#include "engine/stage.hpp"
#include "kfx/detail/op_state.hpp"

namespace kfx::engine {

struct lane_queue {
  detail::op_state* head = nullptr;
  detail::op_state* tail = nullptr;
  lane_queue* next = nullptr;  ///< in the session's round
  kfx::lane lane = 0;
  bool answers = false;
  bool in_round = false;
  lane_queue* credit_next = nullptr;  ///< in the session's list of those that wait for a credit
  bool waits_credit = false;
  std::uint32_t direct_running = 0;  ///< direct ops of this lane whose puts are not known to be placed
  std::uint32_t framed_running =
      0;  ///< framed writes and reads not yet acknowledged: a switch to direct waits for them

  bool empty() const noexcept { return head == nullptr; }

  void push_back(detail::op_state& o) noexcept {
    o.queue_next = nullptr;
    o.queue_prev = tail;
    (tail ? tail->queue_next : head) = &o;
    tail = &o;
    o.options |= opt_listed;
  }
  void push_front(detail::op_state& o) noexcept {
    o.queue_prev = nullptr;
    o.queue_next = head;
    (head ? head->queue_prev : tail) = &o;
    head = &o;
    o.options |= opt_listed;
  }
  void remove(detail::op_state& o) noexcept {
    unlink(o);
    o.options &= ~opt_listed;
  }
  /// For a message whose holder, on another thread, owns its options.
  void unlink(detail::op_state& o) noexcept {
    (o.queue_prev ? o.queue_prev->queue_next : head) = o.queue_next;
    (o.queue_next ? o.queue_next->queue_prev : tail) = o.queue_prev;
    o.queue_next = o.queue_prev = nullptr;
  }
};

}  // namespace kfx::engine
