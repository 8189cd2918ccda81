// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What goes next: repeats first, then results, then one piece of each lane in turn.

#include <algorithm>

#include "engine/partition.hpp"
#include "engine/session.hpp"
#include "engine/session_emit.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {
constexpr std::int64_t patience = 1'000'000;  // ns that a handler may hold back other ops' acks

/// Pieces of large transfers that one holder of the baton moves before others have their turn. Where a put is a copy
/// by this very thread, nothing else would end it.
constexpr unsigned pieces_at_once = 4;

/// What must be said before the ack of the request, which would mean success.
bool ahead_of_ack(const op_state& o) noexcept {
  return o.fragments == static_cast<std::uint16_t>(wire::type::result) && (o.error != 0 || (o.options & opt_by_ack));
}
}  // namespace

lane_queue& session::other_queue(kfx::lane lane, bool answers) {
  auto& q = queues_[std::uint32_t{lane} << 1 | (answers ? 1 : 0)];
  if (!q) {
    q = std::make_unique<lane_queue>();
    q->lane = lane;
    q->answers = answers;
  }
  return *q;
}

lane_queue& session::list_of(const op_state& o) {
  switch (o.stage) {
    case stage_queued:
      return queue(o.lane, o.options & opt_answer);
    case stage_express:
      return express_;
    default:
      return wire_;
  }
}

void session::enqueue(op_state& o) { enqueue_inline(o); }

void session::express(op_state& o) {
  errors_waiting_ += ahead_of_ack(o);
  o.stage = stage_express;
  express_.push_back(o);
  home->make_dirty(*this);
}

void session::wake(lane_queue& q) {
  if (q.empty()) return;
  home->make_dirty(*this);
  if (q.in_round) return;
  q.in_round = true;
  q.next = nullptr;
  (round_last_ ? round_last_->next : round_first_) = &q;
  round_last_ = &q;
}

void session::wake_all() {
  wake(request0_);
  wake(answer0_);
  for (auto& [key, q] : queues_) wake(*q);
}

void session::return_credit(op_state& o) {
  if (!(o.options & opt_credit)) return;
  o.options &= ~opt_credit;
  ++credits_;
  if (credit_first_) home->make_dirty(*this);
}

/// As many lanes as there are credits. One that does not need its credit any more leaves it to the next.
void session::wake_for_credits() {
  for (std::int64_t n = credits_; n > 0 && credit_first_; --n) {
    lane_queue& q = *credit_first_;
    credit_first_ = q.credit_next;
    if (!credit_first_) credit_last_ = nullptr;
    q.waits_credit = false;
    if (q.empty())
      ++n;
    else
      wake(q);
  }
}

session::emitted session::hold(lane_queue& q, bool for_credit) {
  if (!for_credit || q.waits_credit) return emitted::held;
  q.waits_credit = true;
  q.credit_next = nullptr;
  (credit_last_ ? credit_last_->credit_next : credit_first_) = &q;
  credit_last_ = &q;
  return emitted::held;
}

/// Repeats what the peer has not seen, in its order, before anything new.
bool session::replay() {
  while (replay_at_ < log_.size()) {
    if (!build(log_.at(replay_at_))) return false;
    ++replay_at_;
  }
  return true;
}

bool session::emit_express() {
  while (op_state* o = express_.head) {
    const auto type = static_cast<wire::type>(o->fragments);
    std::uint8_t flags = 0;
    if (o->options & opt_tail) flags = type == wire::type::cancel ? wire::wants_result : wire::later;
    if (!log({o, 0, 0, type, flags, true})) return false;
    errors_waiting_ -= ahead_of_ack(*o);
    if (o->options & opt_credit) {  // it ends a request of the peer, which may send another one now
      o->options &= ~opt_credit;
      --inbound_;
    }
    o->options |= opt_emitted;
    move_to_wire(*o);
  }
  return true;
}

/// One piece of a transfer; the last one carries the closing flags.
session::emitted session::emit_slices(op_state& o, wire::type type, std::uint8_t flags) {
  const std::uint64_t left = o.length - o.moved;
  const auto take = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, settings.slice));
  const bool last = take == left;
  const std::uint8_t each = flags & (wire::offer | wire::durable | wire::atomic8 | wire::wants_result);
  if (!log({&o, o.moved, take, type, static_cast<std::uint8_t>(last ? flags | wire::last : each), true}))
    return emitted::blocked;
  o.moved += take;
  return last ? emitted::all : emitted::more;
}

void session::running(lane_queue&, op_state& o, std::uint32_t& count) {
  if (o.options & opt_running) return;
  o.options |= opt_running;
  ++count;
}

/// The transfer is over, or starts anew: the lane may switch between puts and frames.
void session::not_running(op_state& o) {
  if (!(o.options & opt_running)) return;
  o.options &= ~opt_running;
  lane_queue& q = queue(o.lane, o.options & opt_answer);
  if (--(o.options & opt_direct ? q.direct_running : q.framed_running) == 0) wake(q);
}

session::emitted session::emit_write(lane_queue& q, op_state& o) {
  const std::uint32_t opt = o.options;
  std::uint8_t flags = opt & opt_offer ? wire::offer : 0;
  if (opt & opt_notify) flags |= wire::notify;
  if (opt & opt_durable) flags |= wire::durable;
  if (opt & opt_write8) flags |= wire::atomic8;
  if (opt & opt_expect) flags |= wire::wants_result;
  if ((opt & opt_offer) && (opt & opt_last)) flags |= wire::closes;
  const emitted r = emit_slices(o, wire::type::write, flags);
  if (r != emitted::blocked) running(q, o, q.framed_running);
  return r;
}

std::uint8_t session::read_flags(std::uint32_t opt) noexcept {
  const std::uint8_t offer = opt & opt_offer ? wire::offer : 0;
  if (opt & opt_payload) return offer | wire::payload;
  return opt & opt_last ? offer | wire::last : offer;
}

void session::pump() {
  if (!link_) return;
  if (ack_waits()) leave_behind(round_now_ - patience);
  bool room = replay() && (!express_.head || emit_express());
  if (credit_first_) wake_for_credits();
  for (unsigned pieces = 0; room && round_first_ && pieces < pieces_at_once;) {
    lane_queue& q = *round_first_;
    op_state* o = q.head;
    const emitted r = o ? emit(q, *o) : emitted::held;
    if (r == emitted::blocked) {
      room = false;
      break;
    }
    round_first_ = q.next;
    if (!round_first_) round_last_ = nullptr;
    q.in_round = false;
    if (r == emitted::all) emitted_whole(*o);
    pieces += r == emitted::more;
    if (r != emitted::held && !q.empty()) wake(q);
    if (!round_first_ && credit_first_) wake_for_credits();
    room = !express_.head || emit_express();
  }
  blocked_ = !room;
}

void session::send_all() {
  if (!link_) return;
  if (!nothing_waits() || blocked_ || ack_waits()) pump();
  poll_over();
  flush();
}

}  // namespace kfx::engine
