// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// A session and its links: attached, fenced, lost, replaced; and what becomes of the ops when the session itself is
/// given up.

#include <algorithm>

#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

session::session(std::shared_ptr<partition> p, std::string u, const session_settings& s)
    : home(std::move(p)), uri(std::move(u)), settings(s) {
  strand0_.owner = this;
  answer0_.answers = true;
  // A message must fit into a frame that links hand over whole.
  settings.eager = std::min<std::size_t>(settings.eager, backend::whole_limit - wire::max_head - limits::header);
  settings.slice = std::clamp<std::size_t>(settings.slice, 4096, limits::frame);
  last_heard_ = last_used_ = unlinked_since_ = now_ns();
}

session::~session() = default;

bool session::plausible(std::uint32_t peer_taken) const noexcept { return peer_taken - tx_acked_ <= log_.numbered(); }

bool session::quiet() const noexcept {
  return live_ops_ == 0 && log_.empty() && puts_.empty() && inbound_ == 0 && express_.empty() && wire_.empty();
}

std::uint32_t session::fence() {
  if (link_) drop_link(make_error_code(std::errc::connection_reset));
  return rx_taken_;
}

void session::drop_link(std::error_code why) {
  if (!link_) return;
  home->unwatch_link(*this);
  window_ = {};
  window_used_ = 0;
  link_->close();
  // The link has let go of all memory; what it would have reported does not come any more.
  bulk_active_ = false;
  bulk_.op = nullptr;
  for (std::size_t i = 0; i < log_.size(); ++i) log_.at(i).op->lent = 0;
  direct_lost();
  graveyard_ = std::move(link_);
  up.store(false, std::memory_order_relaxed);
  lost_link = graveyard_->describe();
  last_failure = lost_link + ": " + why.message();
  // That the peer restarted, and the like, is the verdict on the ops themselves.
  if (why.category() != error_category()) lost_link += " (" + why.message() + ")";
  last_failure_code = why;
  unlinked_since_ = now_ns();
  for (op_state* o = wire_.head; o;) {
    op_state* next = o->queue_next;
    o->lent = 0;
    if (o->stage == stage_quieting) conclude(*o);
    o = next;
  }
  home->owner().lost_link(*this);
}

void session::attach(std::unique_ptr<backend::link> l, std::uint32_t peer_taken, std::uint32_t credits,
                     std::uint16_t epoch) {
  if (link_) drop_link(make_error_code(std::errc::connection_reset));
  graveyard_.reset();
  doomed_ = {};  // that was the former link
  said_bye_ = closed_by_peer_ = false;
  pong_owed_ = ack_owed_ = false;
  puts_to_frames();
  skip_seen(peer_taken);
  link_ = std::move(l);
  alignment_ = link_->caps().align;
  epoch_ = epoch;
  // Tokens of other sessions have epochs too: theirs must not look like this link's.
  key_epoch_ = static_cast<std::uint16_t>(epoch ^ id ^ id >> 16 ^ id >> 32 ^ id >> 48);
  rx_told_ = ack_value() - 1;  // the first frame, or an ack of its own, tells the peer
  ack_urgent_ = true;
  credits_ = static_cast<std::int64_t>(credits) - credits_out();
  last_heard_ = last_used_ = now_ns();
  probes_ = 0;
  attempts = 0;
  up.store(true, std::memory_order_relaxed);
  home->watch_link(*this);
  home->make_hot(*this);
  home->owner().want_ticks();
  wake_all();
  home->make_dirty(*this);
}

/// What the peer acted on is not repeated. It stays in the log until an ack says that no failure came of it; what is
/// left of the puts becomes numbered like the frames among which it is repeated.
void session::skip_seen(std::uint32_t peer_taken) {
  std::uint32_t n = peer_taken - tx_acked_;
  replay_at_ = 0;
  for (; n > 0; ++replay_at_) n -= log_.at(replay_at_).numbered;
  for (std::size_t i = replay_at_; i < log_.size(); ++i) log_.number(i);
}

/// Requests of ours that hold a credit at the peer. Those that did not use theirs give it back: one that starts anew
/// ahead of them may need it.
std::int64_t session::credits_out() noexcept {
  const auto give_back = [](const lane_queue& q) {
    for (op_state* o = q.head; o; o = o->queue_next) o->options &= ~opt_credit;
  };
  give_back(request0_);
  for (auto& [key, q] : queues_)
    if (!q->answers) give_back(*q);
  std::int64_t n = 0;
  for (op_state* o = wire_.head; o; o = o->queue_next)
    n += o->kind != verb::message && o->kind != verb::result && (o->options & opt_credit) && !(o->options & opt_answer);
  return n;
}

void session::reset(std::error_code code, bool all) {
  if (link_) drop_link(code);
  while (!log_.empty()) --log_.pop().op->unacked;
  while (!puts_.empty()) --puts_.pop().op->unacked;
  replay_at_ = 0;
  tx_acked_ = rx_taken_ = rx_told_ = 0;
  inbound_ = 0;
  credits_ = 0;
  has_late_ack_ = false;
  failed_.clear();
  errors_waiting_ = 0;
  open_.clear();
  std::vector<op_state*> ending;
  each_op([&](op_state& o) {
    const bool reached = o.options & (opt_started | opt_answer);
    const bool ours = o.kind == verb::offer || o.kind == verb::result || o.kind == verb::resolve;
    // Data out of memory that ends with the session is not answered any more.
    if (o.kind == verb::serve || o.kind == verb::reply) o.options |= opt_emitted;
    if (all || reached || ours) ending.push_back(&o);
  });
  for (op_state* o : ending) end_with_session(*o, code);
  orphan_messages();
  drop_strand(strand0_);
  for (auto& [lane, s] : strands_) drop_strand(*s);
  home->end_waiters(*this, code, all);
  id = 0;
}

void session::end_with_session(op_state& o, std::error_code code) {
  if (o.owner != this || !(o.options & opt_listed)) return;  // ended with another one of them
  list_of(o).remove(o);
  unwire(o);
  if (o.stage == stage_zombie) return home->free_engine_part(o);
  o.stage = stage_wire;
  finish(o, code);
}

/// Messages whose session is gone: their holders may keep them, their answers go nowhere.
void session::orphan_messages() {
  for (op_state* m = wire_.head; m;) {
    op_state* const next = m->queue_next;
    if (m->kind == verb::message) {
      wire_.unlink(*m);
      keep_session(*m, shared_from_this());  // for message::from()
      m->bits.fetch_or(detail::op_orphan, std::memory_order_acq_rel);
    }
    m = next;
  }
}

void session::drop_strand(strand& s) {
  while (op_state* o = s.head) {
    s.head = o->queue_next;
    o->options &= ~opt_credit;
    home->free_engine_part(*o);
  }
  s.tail = nullptr;
}

void session::end_all(std::error_code why) {
  stopped.store(true);
  settle_acks();  // or the peer's ops would wait for its limit
  (void)flush();
  reset(why, true);
  graveyard_.reset();
}

void session::close(std::error_code why) {
  if (link_) {
    settle_acks();
    (void)send_control(wire::type::bye, wire::bye_closed);
    (void)flush();
  }
  reset(why, true);
}

/// The link is broken, or what came over it cannot be built upon, or it has been given up meanwhile; or several of
/// these at once.
void session::end_link(std::error_code error) {
  const std::error_code why = std::exchange(doomed_, {});
  const bool said_bye = std::exchange(said_bye_, false);
  if (error == errc::protocol_error || why == errc::protocol_error)
    return reset(make_error_code(errc::protocol_error), true);
  if (std::exchange(closed_by_peer_, false)) return reset(make_error_code(errc::session_lost), true);
  if (said_bye) return reset(why, false);
  drop_link(why ? why : error);
}

std::error_code session::flush() {
  if (!link_) return {};
  commit_window();
  unsent_ = false;
  const std::error_code e = link_->flush(*this);
  if (e) drop_link(e);
  return e;
}

void session::poll_over() {
  if (!link_) return;
  if (pong_owed_) pong_owed_ = !send_control(wire::type::pong, pong_value_);
  ack_owed_ = false;
  if (window_used_ != 0) return;  // what is in there takes it along
  const std::uint32_t untold = ack_value() - rx_told_;
  if (untold == 0 || mute()) return;
  if (ack_urgent_ || untold >= 64) {
    last_used_ = std::max(last_used_, round_now_);
    ack_owed_ = !send_control(wire::type::ack);
    if (std::exchange(ack_held_, false))
      spoke_soon_ /= 2;
    else
      acked_at_look_ = home->looks_;
  }
}

void session::answer_at_once() {
  if (!link_ || blocked_ || pong_owed_ || !nothing_waits()) return;
  if (window_used_ == 0 && (rx_told_ == ack_value() || holds_ack())) return;
  poll_over();
  home->make_clean(*this);  // before the flush: what that makes possible says so anew
  flush();
  if (ack_owed_) home->make_dirty(*this);
}

bool session::holds_ack() noexcept {
  constexpr std::uint8_t likely = 4;
  if (spoke_soon_ < likely || unsent_ || blocked_ || pong_owed_ || !nothing_waits() || !open_.empty() || mute())
    return false;
  if (ack_value() - rx_told_ >= 32) return false;  // its sender has many under way
  acked_at_look_ = home->looks_;
  ack_held_ = true;
  return true;
}

void session::spoke_after_ack() noexcept {
  acked_at_look_ = ~std::uint64_t{0};
  ack_held_ = false;
  if (spoke_soon_ < 8) ++spoke_soon_;
}

void session::settle_acks() {
  if (!link_) return;
  if (!open_.empty()) {
    leave_behind(INT64_MAX);
    pump();
  }
  if (!mute() && rx_told_ != ack_value()) ack_owed_ = !send_control(wire::type::ack);
}

void session::tick(std::int64_t now) {
  const std::int64_t limit = settings.limit.count();
  if (std::exchange(used_, false)) last_used_ = now;
  if (live_ops_ != 0 && limit > 0) end_stalled(now, limit);
  if (!link_) return;
  if (!probe(now, limit)) return;
  if (settings.idle.count() > 0 && now - last_used_ > settings.idle.count() && quiet() && probes_ == 0) {
    send_control(wire::type::bye);
    if (!flush()) reset(make_error_code(errc::idle_closed), false);
  }
}

/// Asks a silent peer whether it is there: as often as the options say, and before ops end for want of an answer.
/// False: it is not, and the link was dropped.
bool session::probe(std::int64_t now, std::int64_t limit) {
  const std::int64_t keepalive = settings.keepalive.count();
  const std::int64_t silent = now - last_heard_;
  const std::int64_t pause = live_ops_ != 0 && limit > 0 ? std::min(keepalive, limit / 4) : keepalive;
  if (silent <= pause || now - probed_at_ <= pause) return true;
  if (probes_ >= 3 && silent / 4 > keepalive) {
    drop_link(make_error_code(std::errc::timed_out));
    return false;
  }
  ++probes_;
  if (send_control(wire::type::ping, static_cast<std::uint64_t>(now))) probed_at_ = now;  // else again at the next tick
  return true;
}

/// What an op ends with whose time is over: where there never was a session it went nowhere.
std::error_code session::out_of_time() const noexcept {
  const bool never = !link_ && id == 0 && !last_failure.empty();
  return make_error_code(never ? errc::unreachable : errc::timed_out);
}

/// Ops without a deadline end when the peer's engine was not heard of for `limit` since they began.
void session::end_stalled(std::int64_t now, std::int64_t limit) {
  if (now - last_heard_ < limit) return;
  const std::error_code why = out_of_time();
  std::vector<op_state*> stalled;
  const auto collect = [&](op_state& o) {
    // A negative expiry is when an op without a deadline began.
    const bool bounded = o.timer.expiry > 0 || o.kind == verb::offer;
    if ((o.options & opt_user) && !bounded && o.stage < stage_quieting && now + o.timer.expiry >= limit)
      stalled.push_back(&o);
  };
  each_op(collect);
  home->each_waiter(*this, collect);
  for (op_state* o : stalled) cancel(*o, why);
}

}  // namespace kfx::engine
