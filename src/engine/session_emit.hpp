// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// From an op to its frame in the link's window: what most ops need of that is here and becomes one piece of code where
/// they start and where a lane is pumped. (As functions of their own these steps cost as much again in saving and
/// restoring registers.) The rest is in session_build.cpp and session_direct.cpp.

#include <cstring>

#include "base/copy_small.hpp"
#include "engine/partition.hpp"
#include "engine/session.hpp"

#define KFX_HOT [[gnu::always_inline]] inline

namespace kfx::engine {

KFX_HOT std::byte* session::space(std::size_t bytes) {
  std::size_t at = (window_used_ + alignment_ - 1) & ~(alignment_ - 1);
  if (window_.size() < at + bytes) {
    commit_window();
    window_ = link_->reserve(bytes);
    if (window_.size() < bytes) {
      window_ = {};
      return nullptr;
    }
    unsent_ = true;
    home->make_dirty(*this);
    at = 0;
  }
  window_used_ = at + bytes;
  return last_head_ = window_.data() + at;
}

/// Success must not be acknowledged before the failures that go ahead of it: until then an ack says nothing.
KFX_HOT std::uint32_t session::next_ack() const noexcept {
  return mute() ? rx_taken_ - wire::says_nothing : ack_value();
}

/// The link has taken a frame with it.
KFX_HOT void session::told(std::uint32_t ack) noexcept {
  if (mute()) return;
  rx_told_ = ack;
  ack_urgent_ &= ack != rx_taken_;
}

/// Head and body side by side in the link's window, whose memory is only written, in ascending order.
KFX_HOT bool session::put_small(wire::head h, const_buffer first, const_buffer second) {
  h.length = static_cast<std::uint32_t>(wire::head_size + first.size() + second.size());
  std::byte* p = space(h.length);
  if (!p) return false;
  h.ack = next_ack();
  told(h.ack);
  wire::put(p, h);
  p += wire::head_size;
  base::copy_small(p, first.data(), first.size());
  base::copy_small(p + first.size(), second.data(), second.size());
  return true;
}

KFX_HOT bool session::build_send(const tx_entry& e, wire::head& h) {
  detail::op_state& o = *e.op;
  h.a = o.length;
  h.b = o.header_size;
  const bool small = (o.options & opt_eager) && o.fragments <= 1 && o.header_size + o.length <= copy_limit;
  if (!small) return build_large_send(o, h);
  return put_small(h, {o.header, o.header_size}, o.fragments != 0 ? o.list[0] : const_buffer());
}

KFX_HOT bool session::build_inline(const tx_entry& e) {
  wire::head h{};
  h.type = e.type;
  h.lane = e.op->lane;
  h.op = wire::pack_op(e.op->index(), e.flags);
  if ((e.op->options & opt_aborted) && e.type != wire::type::result && e.type != wire::type::cancel) [[unlikely]]
    return build_empty(e, h);
  switch (e.type) {
    case wire::type::write:
      return build_write(e, h);
    case wire::type::send:
      return build_send(e, h);
    case wire::type::data:
    case wire::type::reply:
    case wire::type::result:
      return build_answer(e, h);
    default:
      return build_small(e, h);
  }
}

KFX_HOT bool session::log_inline(const tx_entry& e) {
  if (!build_inline(e)) return false;
  if (acked_at_look_ == home->looks_) spoke_after_ack();
  log_.push(e);
  ++replay_at_;
  ++e.op->unacked;
  e.op->options |= opt_started;
  return true;
}

KFX_HOT bool session::take_credit(detail::op_state& o) {
  if (o.options & (opt_credit | opt_answer)) return true;
  if (credits_ <= 0) return false;
  --credits_;
  o.options |= opt_credit;
  return true;
}

/// What a request of one frame is called on the wire.
KFX_HOT wire::type session::request_type(detail::verb v) noexcept {
  switch (v) {
    case detail::verb::send:
      return wire::type::send;
    case detail::verb::read:
      return wire::type::read;
    case detail::verb::open:
      return wire::type::open;
    case detail::verb::commit:
      return wire::type::commit;
    case detail::verb::resolve:
      return wire::type::resolve;
    default:
      return wire::type::reject;
  }
}

KFX_HOT session::emitted session::emit_request(lane_queue& q, detail::op_state& o) {
  if (o.kind == detail::verb::write) return emit_write(q, o);
  const std::uint32_t opt = o.options;
  std::uint8_t flags = 0;
  if (o.kind == detail::verb::send)
    flags = static_cast<std::uint8_t>((opt & opt_reply ? wire::wants_reply : 0) |
                                      (opt & opt_expect ? wire::wants_result : 0));
  else if (o.kind == detail::verb::read)
    flags = read_flags(opt);
  if (!log_inline({&o, 0, 0, request_type(o.kind), flags, true})) return emitted::blocked;
  if (o.kind == detail::verb::read) running(q, o, q.framed_running);
  return emitted::all;
}

KFX_HOT session::emitted session::emit(lane_queue& q, detail::op_state& o) {
  if (o.kind == detail::verb::serve) {  // the offer's owner waits for the ack
    return emit_slices(o, wire::type::data, o.options & opt_offer ? wire::wants_result : 0);
  }
  if (o.kind == detail::verb::reply)
    return emit_slices(o, wire::type::reply, o.options & opt_user ? wire::wants_result : 0);
  const bool moves = o.kind == detail::verb::write || o.kind == detail::verb::read;
  const bool needs_credit =
      o.kind == detail::verb::send || ((o.options & opt_expect) && o.kind != detail::verb::reject);
  if (needs_credit && !take_credit(o)) return hold(q, true);
  if (o.options & opt_tail) return emit_tail(q, o);
  if (moves) {
    bool held = false;
    if (choose_direct(q, o, held)) return held ? hold(q, false) : emit_direct(q, o);
    if (held) return hold(q, false);
  }
  // Frames must not become visible before puts of this lane that the link does not order before them; a framed
  // transfer must not mix with puts to the same bytes at all.
  if (q.direct_running != 0 && (moves || !link_->direct()->caps().placed_before_frames)) return hold(q, false);
  return emit_request(q, o);
}

KFX_HOT void session::move_to_wire(detail::op_state& o) {
  if (o.options & opt_listed) list_of(o).remove(o);
  o.stage = stage_wire;
  wire_.push_back(o);
}

/// Its last frame is built.
KFX_HOT void session::emitted_whole(detail::op_state& o) {
  o.options |= opt_emitted;
  constexpr std::uint32_t answer = opt_answer | opt_credit;
  if ((o.options & answer) == answer) {
    o.options &= ~opt_credit;
    --inbound_;
  }
  move_to_wire(o);
  if (o.unacked == 0) settle(o);
}

/// What `emit` and `emitted_whole` come to for a plain message on its way out of an empty lane. False: it has to wait.
KFX_HOT bool session::emit_plainly(lane_queue& q, detail::op_state& o, bool at_once) {
  if (credits_ <= 0 || q.direct_running != 0) return false;
  wire::head h{};
  h.type = wire::type::send;
  h.lane = o.lane;
  h.op = o.index();
  h.a = o.length;
  h.b = o.header_size;
  if (!put_small(h, {o.header, o.header_size}, o.inline_list[0])) return false;
  if (at_once) commit_window();
  if (acked_at_look_ == home->looks_) spoke_after_ack();
  log_.push({&o, 0, 0, wire::type::send, 0, true});
  ++replay_at_;
  --credits_;
  o.unacked = 1;
  o.options |= opt_credit | opt_started | opt_emitted;
  o.stage = stage_wire;
  wire_.push_back(o);
  return true;
}

KFX_HOT void session::enqueue_inline(detail::op_state& o) {
  lane_queue& q = queue(o.lane, o.options & opt_answer);
  // Nothing is ahead of it.
  const bool first = q.empty();
  emitted r = emitted::more;
  if (first && link_ && !blocked_ && nothing_waits()) {
    r = emit(q, o);
    if (r == emitted::all) return emitted_whole(o);
    blocked_ |= r == emitted::blocked;
  }
  o.stage = stage_queued;
  q.push_back(o);
  if (first && r != emitted::held) wake(q);
}

#undef KFX_HOT

}  // namespace kfx::engine
