// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What arrived: where its bytes go, and what is done once they are there.

#include <algorithm>
#include <cstring>

#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {

/// Extension words a frame must have; 0xff: no such frame.
unsigned words_needed(const wire::head& h) noexcept {
  switch (h.type) {
    case wire::type::write:
      return h.flags() & wire::notify ? 3 : 0;
    case wire::type::read:
      return 1;
    case wire::type::notify:
      return 2;
    case wire::type::data:
    case wire::type::send:
    case wire::type::result:
    case wire::type::reply:
    case wire::type::open:
    case wire::type::commit:
    case wire::type::reject:
    case wire::type::cancel:
    case wire::type::nop:
    case wire::type::resolve:
    case wire::type::offer_done:
      return 0;
    default:
      return 0xff;
  }
}

bool may_be_bulk(wire::type t) noexcept {
  return t == wire::type::write || t == wire::type::data || t == wire::type::reply;
}

void scatter(std::span<const mutable_buffer> to, const_buffer from) noexcept {
  for (const mutable_buffer& f : to) {
    const std::size_t n = std::min(f.size(), from.size());
    if (n == 0) continue;
    std::memcpy(f.data(), from.data(), n);
    from = from.subspan(n);
  }
}

}  // namespace

/// One of our own requests, by the index that the peer names.
op_state* session::own_op(std::uint32_t index, verb kind) const noexcept {
  op_state* o = find_op(index);
  return o && o->owner == this && o->kind == kind ? o : nullptr;
}

void session::land_on(std::span<const const_buffer> list, std::uint64_t offset, std::size_t bytes) {
  landing_list_.clear();
  for (const const_buffer& f : list) {
    if (bytes == 0) return;
    if (offset >= f.size()) {
      offset -= f.size();
      continue;
    }
    const std::size_t take = std::min<std::size_t>(f.size() - static_cast<std::size_t>(offset), bytes);
    landing_list_.emplace_back(const_cast<std::byte*>(f.data()) + offset, take);
    bytes -= take;
    offset = 0;
  }
}

session::landing session::prepare(const wire::head& h, const_buffer head_bytes, std::size_t body) {
  landing l;
  l.head = h;
  landing_list_.clear();
  const unsigned need = words_needed(h);
  if (h.words < 4 + need || need == 0xff) {
    l.broken = true;
    return l;
  }
  for (std::size_t i = 0; i + 4 < h.words && i < wire::max_ext; ++i) l.ext[i] = wire::ext(head_bytes, i);
  if (h.type == wire::type::write)
    prepare_write(l, body);
  else if (h.type == wire::type::data || h.type == wire::type::reply)
    prepare_answer(l, body);
  return l;
}

void session::prepare_answer(landing& l, std::size_t body) {
  const bool data = l.head.type == wire::type::data;
  op_state* o = own_op(l.head.index(), data ? verb::read : verb::send);
  if (!data && !o) o = own_op(l.head.index(), verb::open);
  if (!o || !(o->options & opt_expect) || !(o->options & opt_started)) {
    l.broken = true;  // an answer to nothing
    return;
  }
  l.op = o;
  if (o->kind == verb::open || o->stage >= stage_quieting) return;
  const auto list = data ? std::span(o->list, o->fragments) : std::span(o->reply_list, o->reply_fragments);
  if (data && (l.head.b > o->length || body > o->length - l.head.b)) {
    l.broken = true;
    return;
  }
  land_on(list, l.head.b, body);
}

bool session::act(landing& l, const_buffer body) {
  if (l.broken) return false;
  switch (l.head.type) {
    case wire::type::write:
      return act_write(l);
    case wire::type::data:
      return act_data(l);
    case wire::type::reply:
      return l.op->kind == verb::open ? act_token(l, body) : act_reply(l);
    case wire::type::read:
      return act_read(l);
    case wire::type::send:
      return act_send(l.head, l.ext[0], body);
    case wire::type::result:
      return act_result(l);
    case wire::type::open:
      return act_open(l, body);
    case wire::type::commit:
      return act_commit(l, body);
    case wire::type::reject:
      return act_reject(l);
    case wire::type::cancel:
      return act_cancel(l);
    case wire::type::resolve:
      return act_resolve(l);
    case wire::type::offer_done:
      return act_offer_done(l);
    case wire::type::notify:
      return act_notify(l);
    case wire::type::nop:
      if (l.head.flags() & wire::wants_result) answer(l.head.index(), l.head.lane, make_error_code(errc::cancelled), 0);
      return true;
    default:
      return false;
  }
}

/// The frame was acted on: it counts, and what its sender knows of our frames is taken in, in this order, because an
/// error precedes the ack that would otherwise mean success.
bool session::took(const wire::head& h) {
  ++rx_taken_;
  last_used_ = round_now_;
  if (h.type == wire::type::send) return process_ack(h.ack);
  const bool last = h.flags() & wire::last;
  const bool answered = h.flags() & wire::wants_result;
  switch (h.type) {  // is somebody waiting for the ack itself?
    case wire::type::write:
      ack_urgent_ |= last && !answered;
      break;
    case wire::type::reply:
      ack_urgent_ |= last && answered;
      break;
    case wire::type::data:
      ack_urgent_ |= last && answered;
      break;
    case wire::type::offer_done:
    case wire::type::reject:
      ack_urgent_ = true;
      break;
    default:
      break;
  }
  return process_ack(h.ack);
}

/// What the link was given cannot be built upon: nothing that follows it is looked at.
bool session::refuse() {
  doomed_ = make_error_code(errc::protocol_error);
  return false;
}

bool session::on_frame(const_buffer head_bytes, const_buffer body) {
  see_time();
  const wire::head h = wire::take(head_bytes.data());
  if (h.type == wire::type::send) {
    const std::uint64_t key = h.words > 4 ? wire::ext(head_bytes, 0) : 0;
    if (!act_send(h, key, body)) return refuse();
    if (home->alone_ != this || !home->lone_) return took(h) || refuse();
    ++rx_taken_;
    last_used_ = round_now_;
    late_ack_ = h.ack;
    has_late_ack_ = h.ack != tx_acked_;
    return false;  // what may be behind it is for the next look
  }
  if (!h.numbered()) return on_control(h) || refuse();
  landing l = prepare(h, head_bytes, body.size());
  if (l.broken) return refuse();
  if (!landing_list_.empty()) {
    if (h.type == wire::type::write && (h.flags() & wire::atomic8)) {
      __atomic_store_n(reinterpret_cast<std::uint64_t*>(landing_list_[0].data()),
                       wire::load<std::uint64_t>(body.data()), __ATOMIC_RELEASE);
    } else {
      scatter(landing_list_, body);
    }
  }
  return (act(l, body) && took(h)) || refuse();
}

void session::process_late_ack() {
  has_late_ack_ = false;
  if (process_ack(late_ack_)) return;
  doom(make_error_code(errc::protocol_error));
  end_link({});  // nothing that follows is looked at
}

std::span<const mutable_buffer> session::on_bulk(const_buffer head_bytes, std::size_t body_size) {
  see_time();
  const wire::head h = wire::take(head_bytes.data());
  bulk_ = prepare(h, head_bytes, body_size);
  if (!may_be_bulk(h.type)) bulk_.broken = true;
  if (bulk_.broken) landing_list_.clear();
  bulk_active_ = true;
  return landing_list_;
}

bool session::on_bulk_done() {
  see_time();
  bulk_active_ = false;
  if (bulk_.diverted && bulk_.head.type != wire::type::write) {
    // The op ended while its bytes arrived. Its place is kept until the answer is complete.
    const bool data = bulk_.head.type == wire::type::data;
    bulk_.op = own_op(bulk_.head.index(), data ? verb::read : verb::send);
    if (!bulk_.op) return took(bulk_.head) || refuse();
  }
  return (act(bulk_, {}) && took(bulk_.head)) || refuse();
}

bool session::on_control(const wire::head& h) {
  switch (h.type) {
    case wire::type::ping:
      pong_owed_ = true;
      pong_value_ = h.a;
      home->make_dirty(*this);
      break;
    case wire::type::pong:
    case wire::type::ack:
      break;
    case wire::type::bye:
      if (!process_ack(h.ack)) return false;
      // Nothing of ours under way: both forget the session. Otherwise ours goes on over a new link.
      if (h.a == wire::bye_closed)
        closed_by_peer_ = true;
      else if (quiet())
        said_bye_ = true;
      doom(make_error_code(errc::idle_closed));
      return true;
    default:
      return false;  // a handshake is over before the engine sees a link
  }
  return process_ack(h.ack);
}

}  // namespace kfx::engine
