// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How ops end: acknowledged, answered, cancelled, or with their session. One result each, and only when the link has
/// let go of their memory.

#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/publish.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {

bool direct_pending(const op_state& o) noexcept { return (o.options & opt_direct) && !(o.options & opt_settled); }

bool is_answer(const op_state& o) noexcept {
  return o.kind == verb::serve || o.kind == verb::reply || o.kind == verb::result;
}

void set_error(op_state& o, std::error_code e) noexcept {
  if (e && detail::error_of(o) == e) return;  // found wrong by the verb, which also noted what is
  o.error = e.value();
  o.error_domain = 0;
  if (!e || e.category() == error_category()) return;
  if (e.category() == std::generic_category() || e.category() == std::system_category()) {
    o.error_domain = 1;
  } else {
    o.error = static_cast<int>(errc::rejected);
  }
}

}  // namespace

bool session::still_wired(const op_state& o) const noexcept {
  return o.unacked != 0 || ((o.options & opt_expect) && (o.options & opt_started));
}

/// An entry left the log: the peer acted on that frame.
void session::acked(op_state& o) {
  --o.unacked;
  if (o.stage == stage_zombie) {
    if (!still_wired(o)) retire(o);
    return;
  }
  settle(o);
}

/// Ends an op with success once nothing is missing.
void session::settle(op_state& o) {
  if (o.stage != stage_wire || o.kind == verb::offer || o.kind == verb::message) return;
  if (o.unacked != 0 || (o.options & opt_expect) || !(o.options & opt_emitted) || direct_pending(o)) return;
  if (o.kind == verb::write || o.kind == verb::reply || o.kind == verb::send) o.bytes = o.length;
  if (nothing_refers_to(o)) return end_plainly(o);
  const bool of_offer = o.kind == verb::serve && (o.options & opt_offer);
  const std::uint64_t key = o.key, bytes = o.length;
  const bool last = o.options & opt_last;
  finish(o, {});
  if (!of_offer) return;
  // Only now: ending the offer ends what is still served out of it, and this piece is not.
  if (op_state* offer = own_offer(key)) offer_piece(*offer, bytes, last, {});
}

/// A request of ours whose end leaves nothing to undo: no timer, no offer, no memory lent or shared, no data under way
/// from it.
bool session::nothing_refers_to(const op_state& o) const noexcept {
  if (o.kind != verb::write && o.kind != verb::send) return false;
  const bool incoming = bulk_active_ && bulk_.op == &o;
  return (o.options & (opt_user | opt_shared | opt_offer)) == opt_user && o.lent == 0 && borrowed_ == 0 &&
         o.timer.expiry <= 0 && !incoming;
}

/// A plain message whose only frame was just acknowledged, and which nobody has given up or asked to wait.
inline bool session::is_plainly_over(const op_state& o) const noexcept {
  constexpr std::uint32_t asked = opt_plain | opt_credit | opt_expect | opt_aborted;
  return (o.options & asked) == (opt_plain | opt_credit) && o.stage == stage_wire;
}

/// What `finish`, `conclude` and `retire` come to for it: most ops end here.
inline void session::end_plainly(op_state& o) {
  wire_.remove(o);
  o.unacked = 0;
  o.bytes = o.length;
  o.stage = stage_zombie;
  --live_ops_;
  --requests_;
  if (o.options & opt_running) not_running(o);
  if (o.options & opt_credit) return_credit(o);
  home->publish_and_free(o);
}

void session::finish(op_state& o, std::error_code why) {
  if (o.stage >= stage_quieting) return;
  home->clear_timer(o);
  if (o.stage == stage_waiting) home->forget_waiter(o);
  if (o.options & opt_listed) {
    list_of(o).remove(o);
    if (o.stage == stage_queued) wake(queue(o.lane, o.options & opt_answer));  // the next one may go
  }
  set_error(o, why);
  if (why && (o.kind == verb::read || o.kind == verb::write)) o.bytes = 0;
  if (why) o.options |= opt_aborted;
  o.stage = stage_quieting;
  wire_.push_back(o);
  if (quiet_memory(o)) conclude(o);
}

/// True: the link no longer touches the op's memory. False: on_quiet follows.
bool session::quiet_memory(op_state& o) {
  if (bulk_active_ && bulk_.op == &o) {
    link_->divert();
    bulk_.op = nullptr;
    bulk_.diverted = true;
    bulk_.error = make_error_code(errc::stale_region);
  }
  withdraw_direct(o);
  if (o.kind == verb::offer) home->keys.erase(o.key);
  // Data on its way to a peer out of this op's memory ends too.
  if (borrowed_ != 0 && (o.kind == verb::send || o.kind == verb::offer)) end_serves(o);
  if (o.lent == 0 || !link_) return true;
  if (!link_->quiesce(o.id)) return false;
  o.lent = 0;
  return true;
}

void session::end_serves(op_state& source) {
  const auto sweep = [&](lane_queue& list) {
    for (op_state* s = list.head; s;) {
      op_state* next = s->queue_next;
      if (s->kind == verb::serve && s->stage < stage_quieting && s->list == source.list) {
        refuse_serve(*s, make_error_code(errc::stale_region));
        next = list.head;  // the list changed
      }
      s = next;
    }
  };
  sweep(wire_);
  for (auto& [key, q] : queues_) sweep(*q);
  sweep(answer0_);
}

/// Data or a reply that cannot be delivered: the peer gets the error instead, unless all of it went out.
void session::refuse_serve(op_state& s, std::error_code why) {
  if (s.stage >= stage_quieting) return;
  const bool credited = s.options & opt_credit;
  if (!(s.options & opt_emitted)) {
    s.options &= ~opt_credit;
    answer(static_cast<std::uint32_t>(s.after), s.lane, why, s.moved, credited);
  }
  finish(s, why);
}

/// Memory is quiet: the result is published.
void session::conclude(op_state& o) {
  not_running(o);
  const bool wired = still_wired(o);
  if (o.kind != verb::offer && o.kind != verb::message) --live_ops_;
  if ((o.options & opt_user) && o.kind != verb::offer && o.kind != verb::reply) --requests_;
  if (o.kind == verb::serve && o.list != o.inline_list) --borrowed_;
  if (wired) o.options |= opt_aborted;  // what is repeated of it from now on is empty
  o.stage = stage_zombie;
  const bool failed = o.error != 0;
  const op_id id = o.id;
  if (!(o.options & opt_user)) {
    if (o.kind == verb::resolve)
      resolve_answered(o, failed ? make_error_code(errc::not_supported) : std::error_code(), o.key);
    if (!wired) retire(o);
    return;
  }
  if (failed && (o.options & opt_started) && wired) send_cancel(o);
  if (o.options & opt_offer) unclaim_offer(o);
  if (o.options & opt_payload) fetched(o);
  const bool direct = o.options & opt_direct;
  home->publish(o);
  home->after_done(id, !failed);
  if (!wired)
    retire(o);
  else if (direct)
    trim_log();
}

void session::on_quiet(backend::cookie c) {
  op_state* o = lender(c);
  if (!o || o->stage != stage_quieting) return;
  o->lent = 0;
  conclude(*o);
}

/// The op that lent memory under this cookie, its id, if it is still there.
op_state* session::lender(backend::cookie c) const noexcept {
  op_state* o = find_op(static_cast<std::uint32_t>(c & 0xffffff));
  return o && o->id == c && o->owner == this ? o : nullptr;
}

void session::on_sent(backend::cookie c) {
  op_state* o = lender(c);
  if (o && o->lent > 0) --o->lent;
}

/// The wire is through with it: its place may be used again.
void session::retire(op_state& o) {
  if (o.options & opt_listed) list_of(o).remove(o);
  return_credit(o);
  home->free_engine_part(o);
}

/// Tells the target that an op ended early. Where the op's last frame never went out, the target answers.
void session::send_cancel(op_state& o) {
  if (is_answer(o) || o.kind == verb::offer) return;
  op_state* c = make_express(wire::type::cancel, o.index(), o.lane);
  if (!c) return;
  if (!(o.options & opt_emitted) && (o.options & opt_expect)) c->options |= opt_tail;
  express(*c);
}

void session::cancel(op_state& o, std::error_code why) {
  if (o.owner != this || o.stage >= stage_quieting || o.stage == stage_strand) return;
  if (o.kind == verb::message) return;
  if (o.kind == verb::reply) return refuse_serve(o, why);
  finish(o, why);
}

void session::cancel_by_id(op_id id) {
  op_state* const o = find_op(static_cast<std::uint32_t>(id & 0xffffff));
  if (!o || o->id != id || o->owner != this || !(o->options & opt_user) || o->is_done()) return;
  cancel(*o, make_error_code(o->kind == verb::offer ? errc::revoked : errc::cancelled));
}

bool session::new_ack(std::uint32_t ack) {
  std::uint32_t n = ack - tx_acked_;
  if (static_cast<std::int32_t>(n) < 0) return true;  // an ack that says nothing
  if (n > log_.numbered()) return false;
  tx_acked_ = ack;
  while (n > 0) {
    const tx_entry e = log_.pop();
    replay_at_ -= replay_at_ > 0;
    n -= e.numbered;
    if (is_plainly_over(*e.op)) [[likely]]
      end_plainly(*e.op);
    else
      acked(*e.op);
  }
  if (!puts_.empty() || (!log_.empty() && !log_.front().numbered)) trim_log();
  return true;
}

bool session::to_repeat(const op_state& o) noexcept { return direct_pending(o) && o.stage < stage_quieting; }

/// Puts at the front whose op is settled, or ended, need no repetition any more.
void session::trim_log() {
  while (!puts_.empty() && !to_repeat(*puts_.front().op)) acked(*puts_.pop().op);
  while (!log_.empty() && !log_.front().numbered && !to_repeat(*log_.front().op)) {
    const tx_entry e = log_.pop();
    if (replay_at_ > 0) --replay_at_;
    acked(*e.op);
  }
}

/// Forgets what the wire was to do with an op, for a session that is given up.
void session::unwire(op_state& o) {
  o.unacked = 0;
  o.options &= ~(opt_expect | opt_credit);
}

}  // namespace kfx::engine
