// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The way of plain ops from the verb to the link where nothing is in their way, without a stop: what `submit_fresh`,
/// `session::start`, `enqueue` and `flush` come to for them. Wherever anything is, those take over.

#include <algorithm>

#include "engine/handler_frame.hpp"
#include "engine/partition.hpp"
#include "engine/publish.hpp"
#include "engine/session.hpp"
#include "engine/session_emit.hpp"

namespace kfx::engine {

using detail::op_state;

namespace {
/// After so many small transfers, or so many bytes, a look around: it costs as much as ten small ones.
constexpr std::uint64_t transfers_a_look = 512;
constexpr std::uint64_t bytes_a_transfer = 8192;
}  // namespace

void partition::submit_plain(op_state& o) {
  session& s = *o.owner;
  if ((o.options & opt_waiting) || !submissions_.empty() || !baton_.try_lock()) return submit_fresh(o);
  const bool busy = s.busy();
  o.options |= opt_counted;
  add(outstanding_, std::uint32_t{1});
  const bool in_handler = handler_of_thread == this;
  const bool at_once = in_handler ? answers_at_once() : !busy;
  if (!s.start_plainly(o, at_once)) {
    s.start(o);
    return submitted(busy);
  }
  if (!at_once) return submitted(busy);
  make_clean(s);
  s.flush();
  if (!dirty_.empty() || !s.hot || !nobody_sleeps()) return submitted(busy);
  deferred_ = 0;
  release();
}

/// A handler that let go of the message it is about, and asks for something now: that leaves with the message's ack,
/// and does not wait until the handler returns. Once: what else it asks for makes a burst.
bool partition::answers_at_once() {
  handler_frame* const f = handler_frame::current;
  if (!f || f->home != this || !f->lone || f->dropped.load(std::memory_order_relaxed) == 0) return false;
  f->lone = false;
  finish_dropped(*f);
  return true;
}

/// False: nothing was done.
bool session::start_plainly(op_state& o, bool at_once) {
  lane_queue& q = queue(o.lane, false);
  const bool free = q.empty() && link_ && !blocked_ && nothing_waits();
  if (!free || stopped.load(std::memory_order_relaxed) || !emit_plainly(q, o, at_once)) return false;
  ++live_ops_;
  ++requests_;
  see_when_used();
  o.timer.expiry = -last_used_;
  return true;
}

bool partition::transfer_plainly(op_state& o) {
  if (o.error != 0 || (o.options & (opt_offer | opt_waiting)) || !submissions_.empty() || !baton_.try_lock())
    return false;
  const bool done = o.owner->transfer_plainly(o);
  // Who does nothing else waits for nothing, and would hear nothing of its peer.
  transfers_ += 1 + o.length / bytes_a_transfer;
  const bool look_around = transfers_ >= transfers_a_look;
  if (look_around) transfers_ = 0;
  release();
  if (look_around) poll(false);
  if (!done) return false;
  o.bytes = o.length;
  o.stage = stage_zombie;
  o.bits.store(detail::op_done | detail::op_engine_gone, std::memory_order_release);
  return true;
}

/// Where a copy by this thread does it.
bool session::transfer_plainly(op_state& o) {
  backend::remote_memory* memory = link_ && settings.direct ? link_->direct() : nullptr;
  if (!memory || o.bytes != remote.incarnation) return false;
  if (o.direct == 0 || o.epoch != key_epoch_) {
    const direct_key* k = direct_keys_.find(o.key);
    if (!k || k->state != direct_key::usable) return false;
    o.direct = k->key;
    o.epoch = key_epoch_;
  }
  const backend::memory_caps& caps = memory->caps();
  if (!caps.at_once || o.length > one_sided_piece(caps)) return false;
  if (caps.selective && !memory->takes(o.direct, o.length, false)) return false;
  const lane_queue& q = queue(o.lane, false);
  if (!q.empty() || q.framed_running != 0 || stopped.load(std::memory_order_relaxed)) return false;
  used_ = true;
  const std::size_t n = o.fragments;
  if (o.kind == detail::verb::write)
    return memory->put(o.direct, o.offset, {o.list, n}, o.id) == backend::started::done;
  const mutable_buffer into(const_cast<std::byte*>(o.list[0].data()), o.list[0].size());
  return memory->get(o.direct, o.offset, {&into, n}, o.id) == backend::started::done;
}

}  // namespace kfx::engine
