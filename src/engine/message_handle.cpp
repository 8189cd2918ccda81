// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What the holder of a message does with it. Any thread; the answer itself is the engine's (step_send.cpp).

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/handler_frame.hpp"
#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"
#include "kfx/message.hpp"
#include "kfx/peer.hpp"

namespace kfx::detail {

namespace {

/// Hands the message back to the engine; without a session any more it just ends.
void command(op_state& m, std::uint64_t what) {
  if (m.bits.load(std::memory_order_acquire) & op_orphan) return engine::free_orphan(m);
  m.moved = what;
  m.home->submit_message(m);
}

/// The new header may be made of the old one, which is why that is freed last.
void replace_header(op_state& m, const_buffers header) {
  const std::size_t size = header.bytes();
  auto* copy = size != 0 ? static_cast<std::byte*>(engine::pool_allocate(size)) : nullptr;
  std::size_t at = 0;
  for (const const_buffer& h : header.list()) {
    if (!h.empty()) std::memcpy(copy + at, h.data(), h.size());
    at += h.size();
  }
  if (m.options & engine::opt_header_pooled) engine::pool_free(const_cast<std::byte*>(m.header), m.offset);
  m.options &= ~engine::opt_header_pooled;
  if (copy) m.options |= engine::opt_header_pooled;
  m.header = copy;
  m.offset = size;
}

/// The header copied to the message's block, then the payload's fragments: the bytes of a reply.
void reply_list(op_state& m, const_buffers header, const_buffers payload) {
  replace_header(m, header);
  const auto list = payload.list();
  const std::size_t own = m.offset != 0 ? 1 : 0;
  const_buffer* to = m.inline_list;
  if (own + list.size() > 2) {
    to = static_cast<const_buffer*>(engine::pool_allocate((own + list.size()) * sizeof(const_buffer)));
    m.options |= engine::opt_list_pooled;
  }
  if (own) to[0] = {m.header, m.offset};
  std::copy(list.begin(), list.end(), to + own);
  m.list = to;
  m.fragments = static_cast<std::uint16_t>(own + list.size());
  m.length = m.offset + payload.bytes();
}

void set_outcome(op_state& m, std::error_code e) noexcept {
  const std::uint64_t packed = engine::pack_error(e);
  m.error = static_cast<std::int32_t>(packed & 0xffffffff);
  m.error_domain = static_cast<std::uint8_t>(packed >> 32);
}

/// A finished op that never saw the engine.
op_state* finished(op_state& m, std::uint64_t bytes, std::error_code e) {
  op_state* o = engine::allocate_op();
  if (!o) throw error(make_error_code(errc::out_of_resources), "no memory for another op");
  o->home = m.home;
  o->owner = m.owner;
  o->kind = verb::read;
  o->options = engine::opt_user;
  o->bytes = e ? 0 : bytes;
  set_outcome(*o, e);
  o->bits.store(op_done | op_engine_gone, std::memory_order_release);
  return o;
}

std::uint64_t copy_out(const op_state& m, mutable_buffers into) {
  const std::byte* from = m.header + m.header_size;
  std::uint64_t left = m.length;
  for (const mutable_buffer& b : into.list()) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, b.size()));
    if (n != 0) std::memcpy(b.data(), from, n);
    from += n;
    left -= n;
  }
  return m.length - left;
}

}  // namespace

const_buffer message_header(const op_state& m) noexcept { return {m.header, m.header_size}; }
std::uint64_t message_payload_size(const op_state& m) noexcept { return m.length; }
bool message_wants_reply(const op_state& m) noexcept { return m.options & engine::opt_reply; }

/// The payload will not be had, and its sender hears why.
static op_state* refused(op_state& m, errc why) {
  m.reply_fragments = engine::payload_failed;
  m.bytes = engine::pack_error(make_error_code(why));
  return finished(m, 0, make_error_code(why));
}

op_state* message_receive(op_state& m, mutable_buffers into) {
  if (m.options & engine::opt_received) return finished(m, 0, make_error_code(errc::already_received));
  m.options |= engine::opt_received;
  if (into.list().size() > limits::fragments) return refused(m, errc::too_many_fragments);
  const std::uint64_t bytes = std::min<std::uint64_t>(m.length, into.bytes());
  if (m.options & engine::opt_eager || bytes == 0) {
    m.bytes = m.options & engine::opt_eager ? copy_out(m, into) : 0;
    return finished(m, m.bytes, {});
  }
  if (m.bits.load(std::memory_order_acquire) & op_orphan) return finished(m, 0, make_error_code(errc::session_lost));
  op_state* o = m.home->make_op(verb::read, true);
  if (!o) return refused(m, errc::out_of_resources);
  o->owner = m.owner;
  o->lane = m.lane;
  o->key = m.after;  // the sender's op
  o->direct = m.direct;
  o->epoch = m.epoch;
  o->options |= engine::opt_expect | engine::opt_payload | engine::opt_answer;
  const auto list = into.list();
  const_buffer* to = o->inline_list;
  if (list.size() > 2) {
    to = static_cast<const_buffer*>(engine::pool_allocate(list.size() * sizeof(const_buffer)));
    o->options |= engine::opt_list_pooled;
  }
  std::copy(list.begin(), list.end(), to);
  o->list = to;
  o->fragments = static_cast<std::uint16_t>(list.size());
  o->length = bytes;
  o->imm = m.id;
  o->after = m.key;
  m.bytes = o->id;
  m.reply_fragments = engine::payload_fetching;
  o->home->submit_fresh(*o);
  return o;
}

op_state* message_reply(op_state& m, const_buffers header, const_buffers payload) {
  if (header.bytes() > limits::header || payload.list().size() > limits::fragments - 1) {
    const bool long_header = header.bytes() > limits::header;
    const errc e = long_header ? errc::header_too_long : errc::too_many_fragments;
    op_state* o = finished(m, 0, make_error_code(e));
    o->kind = verb::reply;
    o->error_domain = long_header ? engine::refused_header : engine::refused_fragments;
    o->moved = long_header ? header.bytes() : payload.list().size();
    message_reject(m, make_error_code(e));
    return o;
  }
  if (m.bits.load(std::memory_order_acquire) & op_orphan) {
    op_state* o = finished(m, 0, make_error_code(errc::session_lost));
    engine::free_orphan(m);
    return o;
  }
  reply_list(m, header, payload);
  m.options |= engine::opt_user;
  command(m, engine::message_replied);
  return &m;
}

void message_reply_copy(op_state& m, const_buffers header) {
  if (header.bytes() > limits::header) return message_reject(m, make_error_code(errc::header_too_long));
  if (!(m.options & engine::opt_reply)) return message_drop(m);  // nobody waits for it
  reply_list(m, header, {});
  command(m, engine::message_reply_copied);
}

void message_reject(op_state& m, std::error_code why) noexcept {
  set_outcome(m, why ? why : make_error_code(errc::rejected));
  command(m, engine::message_rejected);
}

void message_drop(op_state& m) noexcept {
  if (m.options & engine::opt_reply) set_outcome(m, make_error_code(errc::dropped));
  m.moved = engine::message_dropped;
  if (!engine::handler_frame::takes(m)) command(m, engine::message_dropped);
}

}  // namespace kfx::detail

namespace kfx {

peer message::from() const { return peer(static_cast<engine::session*>(state().owner)->shared_from_this()); }

}  // namespace kfx
