// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Reads: the target serves, the initiator takes what comes.

#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

bool session::act_read(landing& l) {
  const wire::head& h = l.head;
  const std::uint64_t length = l.ext[0];
  const bool payload = h.flags() & wire::payload;
  std::error_code error;
  op_state* source = nullptr;
  memory::keyed k;
  if (payload) {
    // The key is the index of a send of ours whose message the peer holds.
    source = h.a <= 0xffffff ? own_op(static_cast<std::uint32_t>(h.a), verb::send) : nullptr;
    if (!source || source->stage != stage_wire || (source->options & (opt_aborted | opt_eager)))
      error = make_error_code(errc::stale_region);
    else if (h.b > source->length || length > source->length - h.b)
      error = make_error_code(errc::out_of_bounds);
  } else {
    if (!admit()) return false;
    error = check(h.a, h.b, length, access::read, k);
    source = k.offer;
  }
  op_state* s = error ? nullptr : home->make_op(verb::serve, false);
  if (!s) {
    answer(h.index(), h.lane, error ? error : make_error_code(errc::out_of_resources), 0, !payload);
    return true;
  }
  s->owner = this;
  s->lane = h.lane;
  s->after = h.index();
  s->key = payload ? 0 : h.a;
  s->length = length;
  s->options |= opt_answer | (payload ? 0u : opt_credit);
  if (source) {
    s->list = source->list;
    s->fragments = source->fragments;
    s->offset = h.b;
    ++borrowed_;
    if (!payload) s->options |= opt_offer | (h.flags() & wire::last ? opt_last : 0u);
  } else {
    s->inline_list[0] = const_buffer(k.region->memory).subspan(h.b, length);
    s->list = s->inline_list;
    s->fragments = 1;
  }
  ++live_ops_;
  enqueue(*s);
  return true;
}

bool session::act_data(landing& l) {
  op_state& o = *l.op;
  if (o.stage < stage_quieting) {
    o.moved += l.head.body_bytes();
    if (!(l.head.flags() & wire::last)) return true;
    o.bytes = o.moved;
  }
  if (!(l.head.flags() & wire::last)) return true;
  answered(o, {});
  return true;
}

/// The peer's last word on a request of ours.
void session::answered(op_state& o, std::error_code error) {
  o.options &= ~opt_expect;
  return_credit(o);
  if (o.stage == stage_zombie) {
    if (!still_wired(o)) retire(o);
  } else if (o.stage < stage_quieting) {
    finish(o, error);
  }
}

bool session::act_reply(landing& l) {
  op_state& o = *l.op;
  if (!(l.head.flags() & wire::last)) return true;
  std::uint64_t room = 0;
  for (std::size_t i = 0; i < o.reply_fragments; ++i) room += o.reply_list[i].size();
  const bool fits = l.head.a <= room;
  if (o.stage < stage_quieting) o.bytes = fits ? l.head.a : room;
  answered(o, fits ? std::error_code() : make_error_code(errc::truncated));
  return true;
}

bool session::act_token(landing& l, const_buffer body) {
  op_state& o = *l.op;
  const auto token = remote_region::decode(body);
  if (!token) return false;
  const auto f = token->raw();
  if (o.stage < stage_quieting) {  // kfx::detail::token_of reads them back
    o.key = f.key;
    o.imm = f.incarnation;
    o.offset = f.offset;
    o.length = f.length;
    o.direct = f.direct;
    o.epoch = f.epoch;
    o.moved = f.flags;
  }
  answered(o, {});
  return true;
}

}  // namespace kfx::engine
