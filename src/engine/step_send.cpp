// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Messages: they arrive, wait for their handler, and are answered.

#include <cstring>
#include <utility>

#include "base/copy_small.hpp"
#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

bool session::act_send(const wire::head& h, std::uint64_t payload_key, const_buffer body) {
  const std::uint64_t header_size = h.b;
  const bool eager = h.words == 4;
  if (header_size > limits::header || header_size > body.size()) return false;
  if (body.size() != header_size + (eager ? h.a : 0)) return false;
  if (!admit()) return false;
  op_state* m = home->make_op(verb::message, false);
  if (!m) {
    answer(h.index(), h.lane, make_error_code(errc::out_of_resources), 0, true);
    return true;
  }
  m->owner = this;
  m->lane = h.lane;
  m->after = h.index();
  m->length = h.a;
  m->key = id;  // what is asked of it later is asked of this session
  m->options |= opt_credit | (eager ? opt_eager : 0u) | (h.flags() & wire::wants_reply ? opt_reply : 0u);
  m->header_size = static_cast<std::uint32_t>(header_size);
  m->direct = static_cast<std::uint32_t>(payload_key);
  m->epoch = key_epoch_;
  if (!body.empty()) {
    const bool here = body.size() <= sizeof m->inline_list;
    auto* copy =
        here ? reinterpret_cast<std::byte*>(m->inline_list) : static_cast<std::byte*>(pool_allocate(body.size()));
    base::copy_small(copy, body.data(), body.size());
    m->header = copy;
    m->offset = body.size();  // of the block
    if (!here) m->options |= opt_header_pooled;
  }
  if (!(h.flags() & (wire::wants_result | wire::wants_reply))) {
    m->options |= opt_by_ack;
    m->imm = open_.add(*m, rx_taken_, round_now_);
  }
  to_strand(*m);
  return true;
}

strand* session::other_strand(kfx::lane lane) {
  auto& s = strands_[lane];
  if (!s) {
    s = std::make_unique<strand>();
    s->owner = this;
  }
  return s.get();
}

void session::to_strand(op_state& m) {
  strand& s = *strand_of(m.lane);
  if (home->takes_alone(s) && !(m.options & opt_notify)) {
    hand_over(m);
    home->lone_ = &m;
    return;
  }
  m.stage = stage_strand;
  m.queue_next = nullptr;
  (s.tail ? s.tail->queue_next : s.head) = &m;
  s.tail = &m;
  if (!s.ready && !s.running) home->ready_strand(s);
}

/// The payload of a message is here, or will not be: that is what its sender is told, unless the holder says otherwise.
void session::fetched(const op_state& fetch) {
  if (fetch.imm == 0) return;  // the message is gone
  op_state& m = *find_op(static_cast<std::uint32_t>(fetch.imm & 0xffffff));
  m.reply_fragments = fetch.error != 0 ? payload_failed : payload_settled;
  m.bytes = fetch.error != 0 ? pack_error(detail::error_of(fetch)) : fetch.bytes;
}

/// What the sender is told of the payload when the holder said nothing.
void session::settle_payload(op_state& m) noexcept {
  const std::uint16_t state = std::exchange(m.reply_fragments, std::uint16_t{payload_settled});
  if (state == payload_settled) return;
  const std::uint64_t of = std::exchange(m.bytes, 0);
  std::uint64_t why = of;
  if (state == payload_fetching) {
    // Let go before it was here: nobody knows what became of it, least of all the sender.
    find_op(static_cast<std::uint32_t>(of & 0xffffff))->imm = 0;
    why = pack_error(make_error_code(errc::dropped));
  }
  if (m.moved != message_dropped || m.error != 0) return;
  m.error = static_cast<std::int32_t>(why & 0xffffffff);
  m.error_domain = static_cast<std::uint8_t>(why >> 32);
}

/// The holder of a message said what its answer is.
void session::finish_message(op_state& m) {
  settle_payload(m);
  const bool orphaned = m.bits.load(std::memory_order_acquire) & detail::op_orphan;
  if (!orphaned && (m.options & opt_listed)) wire_.remove(m);
  if (orphaned) {
    m.options = (m.options | opt_aborted) & ~(opt_credit | opt_listed);
    if (m.moved == message_replied) {
      const std::shared_ptr<session> keep = shared_from_this();
      drop_kept_session(m);
      m.kind = verb::reply;
      wire_.push_back(m);
      m.stage = stage_wire;
      ++live_ops_;
      return finish(m, make_error_code(errc::session_lost));
    }
    return free_orphan(m);
  }
  if (m.options & opt_by_ack) {
    const bool waits = m.imm != open_messages::left_behind;
    if (waits && m.moved == message_dropped && m.error == 0 && m.bytes == m.length) {
      close_message(m);
      --inbound_;
      m.options &= ~opt_credit;
      return home->free_engine_part(m);
    }
    if (waits && m.moved != message_replied) {
      close_message(m);  // its result goes ahead of the ack
    } else {
      if (waits) result_later(m);  // nobody asked for that reply: it says so
      m.options &= ~opt_by_ack;
    }
  }
  ++live_ops_;
  if (m.moved == message_replied || m.moved == message_reply_copied) {
    m.options &= ~opt_by_ack;
    m.kind = verb::reply;
    m.moved = 0;
    m.options = (m.options | opt_answer) & ~(opt_eager | opt_notify);
    return enqueue(m);
  }
  m.kind = verb::result;
  m.imm = 0;
  m.fragments = static_cast<std::uint16_t>(wire::type::result);
  express(m);
}

void session::close_message(op_state& m) {
  open_.close(m.imm);
  ack_urgent_ = true;  // its sender waits for that
  home->make_dirty(*this);
}

/// The ack passes it by: tells its sender to wait for the result.
void session::result_later(op_state& m) {
  close_message(m);
  m.imm = open_messages::left_behind;
  op_state* r = make_express(wire::type::result, static_cast<std::uint32_t>(m.after), m.lane);
  if (!r) {
    doom(make_error_code(errc::out_of_resources));
    return;
  }
  r->options |= opt_by_ack | opt_tail;
  express(*r);
}

/// Messages that came before then do not hold back acks any longer.
void session::leave_behind(std::int64_t since) {
  open_.each([&](const open_messages::entry& e) {
    if (e.since <= since) result_later(*e.message);
  });
}

void session::leave_kept_behind(kfx::lane lane) {
  open_.each([&](const open_messages::entry& e) {
    if (e.message->lane == lane && e.message->stage == stage_wire) result_later(*e.message);
  });
}

/// A frame about the peer's op, or about ours that it knows by that index, to go ahead of everything: `express` it.
op_state* session::make_express(wire::type type, std::uint32_t op, kfx::lane lane) {
  op_state* r = home->make_op(verb::result, false);
  if (!r) return nullptr;
  r->owner = this;
  r->lane = lane;
  r->after = op;
  r->fragments = static_cast<std::uint16_t>(type);
  ++live_ops_;
  return r;
}

void session::answer(std::uint32_t op, kfx::lane lane, std::error_code error, std::uint64_t bytes, bool credited,
                     std::uint64_t extra) {
  op_state* r = make_express(wire::type::result, op, lane);
  if (!r) {  // without memory for an answer the session cannot go on
    doom(make_error_code(errc::out_of_resources));
    return;
  }
  const std::uint64_t packed = pack_error(error);
  r->error = static_cast<std::int32_t>(packed & 0xffffffff);
  r->error_domain = static_cast<std::uint8_t>(packed >> 32);
  r->bytes = bytes;
  r->imm = extra;
  if (credited) r->options |= opt_credit;
  express(*r);
}

bool session::act_result(landing& l) {
  const wire::head& h = l.head;
  op_state* o = find_op(h.index());
  if (!o || o->owner != this) return false;
  const bool request = o->kind == verb::write || o->kind == verb::read || o->kind == verb::send ||
                       o->kind == verb::commit || o->kind == verb::open || o->kind == verb::resolve ||
                       o->kind == verb::reject;
  if (!request || !(o->options & opt_started)) return false;
  const std::error_code error = unpack_error(h.b);
  if (!(o->options & opt_expect)) {  // ahead of the ack
    if (h.flags() & wire::later)
      o->options |= opt_expect;
    else if (o->stage < stage_quieting && (error || o->kind == verb::send)) {
      o->bytes = h.a;
      finish(*o, error);
    }
    return true;
  }
  if (o->stage < stage_quieting) {
    o->bytes = h.a;
    o->method = static_cast<kfx::method>((h.b >> 40) & 0xff);
    if (o->kind == verb::resolve) {
      o->direct = static_cast<std::uint32_t>(l.ext[0]);
      o->epoch = static_cast<std::uint16_t>(l.ext[0] >> 32);
    }
  }
  answered(*o, error);
  return true;
}

bool session::act_open(landing& l, const_buffer body) {
  const wire::head& h = l.head;
  if (!admit()) return false;
  const remote_region token = home->owner().published({reinterpret_cast<const char*>(body.data()), body.size()});
  op_state* r = token.raw().key ? home->make_op(verb::reply, false) : nullptr;
  if (!r) {
    answer(h.index(), h.lane, make_error_code(errc::not_found), 0, true);
    return true;
  }
  const auto bytes = token.encode();
  auto* copy = static_cast<std::byte*>(pool_allocate(bytes.size()));
  std::memcpy(copy, bytes.data(), bytes.size());
  r->owner = this;
  r->lane = h.lane;
  r->after = h.index();
  r->header = copy;
  r->offset = bytes.size();  // of the block
  r->header_size = bytes.size();
  r->inline_list[0] = {copy, bytes.size()};
  r->list = r->inline_list;
  r->fragments = 1;
  r->length = bytes.size();
  r->options |= opt_answer | opt_credit | opt_header_pooled;
  ++live_ops_;
  enqueue(*r);
  return true;
}

bool session::act_commit(landing& l, const_buffer body) {
  if (!admit() || body.size() % 24 != 0) return false;
  std::error_code error = make_error_code(errc::not_persistent);
  for (std::size_t at = 0; at < body.size(); at += 24) {
    memory::keyed k;
    const auto e = check(wire::load<std::uint64_t>(body.data() + at), wire::load<std::uint64_t>(body.data() + at + 8),
                         wire::load<std::uint64_t>(body.data() + at + 16), access::write, k);
    if (e) error = e;
  }
  answer(l.head.index(), l.head.lane, error, 0, true);
  return true;
}

/// The initiator gave a request up. What has not begun here is dropped; the rest ends by itself.
bool session::act_cancel(landing& l) {
  const std::uint32_t op = l.head.index();
  std::erase_if(failed_, [op](const earlier_error& e) { return e.op == op; });
  if (l.head.flags() & wire::wants_result) {
    // Without a place here: what the op was to take one for did not come.
    answer(op, l.head.lane, make_error_code(errc::cancelled), 0);
    return true;
  }
  strand& s = *strand_of(l.head.lane);
  op_state* before = nullptr;
  for (op_state* m = s.head; m; before = m, m = m->queue_next) {
    if (m->after != op) continue;
    (before ? before->queue_next : s.head) = m->queue_next;
    if (s.tail == m) s.tail = before;
    m->error = static_cast<int>(errc::cancelled);
    m->moved = message_rejected;
    finish_message(*m);
    return true;
  }
  lane_queue& q = queue(l.head.lane, true);
  for (op_state* o = q.head; o; o = o->queue_next) {
    if (o->kind != verb::serve || o->after != op) continue;
    refuse_serve(*o, make_error_code(errc::cancelled));
    return true;
  }
  return true;
}

std::uint64_t pack_error(std::error_code e) noexcept {
  if (!e) return 0;
  const auto value = static_cast<std::uint32_t>(e.value());
  if (e.category() == error_category()) return value;
  if (e.category() == std::generic_category() || e.category() == std::system_category())
    return value | std::uint64_t{1} << 32;
  return static_cast<std::uint32_t>(errc::rejected);
}

std::error_code unpack_error(std::uint64_t packed) noexcept {
  const auto value = static_cast<int>(packed & 0xffffffff);
  if (value == 0) return {};
  if (((packed >> 32) & 0xff) == 1) return {value, std::generic_category()};
  return {value, error_category()};
}

}  // namespace kfx::engine
