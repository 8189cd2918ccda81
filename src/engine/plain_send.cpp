// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The way of a plain message from the verb to the link where nothing is in its way, without a stop: what
/// `submit_fresh`, `session::start`, `enqueue` and `flush` come to for it. Wherever anything is, those take over.

#include "engine/partition.hpp"
#include "engine/publish.hpp"
#include "engine/session.hpp"
#include "engine/session_emit.hpp"

namespace kfx::engine {

using detail::op_state;

void partition::submit_plain(op_state& o) {
  session& s = *o.owner;
  if ((o.options & opt_waiting) || !submissions_.empty() || !baton_.try_lock()) return submit_fresh(o);
  const bool busy = s.busy();
  o.options |= opt_counted;
  add(outstanding_, std::uint32_t{1});
  if (!s.start_plainly(o)) {
    s.start(o);
    return submitted(busy);
  }
  const bool alone = dirty_.size() == 1 && s.dirty && s.hot;
  if (busy || !alone || handler_of_thread == this || !nobody_sleeps()) return submitted(busy);
  deferred_ = 0;
  dirty_.clear();
  s.dirty = false;
  s.flush();
  release();
}

/// False: nothing was done.
bool session::start_plainly(op_state& o) {
  lane_queue& q = queue(o.lane, false);
  const bool free = q.empty() && link_ && !blocked_ && nothing_waits();
  if (!free || stopped.load(std::memory_order_relaxed) || !emit_plainly(q, o)) return false;
  ++live_ops_;
  ++requests_;
  see_when_used();
  o.timer.expiry = -last_used_;
  return true;
}

}  // namespace kfx::engine
