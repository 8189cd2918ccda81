// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// From a log entry to a frame on the link. A frame can be built again from its entry at any time.

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/partition.hpp"
#include "engine/session.hpp"
#include "engine/session_emit.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {

thread_local std::array<const_buffer, limits::fragments + 2> slice_scratch;

constexpr std::uint64_t pack_status(const op_state& o) noexcept {
  return static_cast<std::uint32_t>(o.error) | std::uint64_t{o.error_domain} << 32 |
         static_cast<std::uint64_t>(o.method) << 40;
}

}  // namespace

/// To the link, at the next flush at the latest.
void session::commit_window() {
  if (window_used_ == 0) return;
  if (rx_told_ != ack_value() && !mute()) {  // the last one takes along what was done with since
    wire::store(last_head_ + wire::ack_at, ack_value());
    told(ack_value());
  }
  link_->commit(window_used_);
  window_ = {};
  window_used_ = 0;
}

bool session::put_frame(wire::head h, std::span<const std::uint64_t> ext, std::span<const const_buffer> body,
                        std::uint64_t body_bytes, op_state* owner) {
  h.words = static_cast<std::uint8_t>(4 + ext.size());
  h.length = static_cast<std::uint32_t>(h.head_bytes() + body_bytes);
  h.ack = next_ack();
  std::byte head_bytes[wire::max_head];
  const bool in_place = body_bytes <= copy_limit;
  std::byte* p = in_place ? space(h.length) : head_bytes;
  if (!p) return false;
  wire::put(p, h);
  if (!ext.empty()) std::memcpy(p + wire::head_size, ext.data(), ext.size_bytes());
  if (in_place) {
    p += h.head_bytes();
    for (const const_buffer& b : body) {
      if (b.empty()) continue;
      std::memcpy(p, b.data(), b.size());
      p += b.size();
    }
  } else {
    commit_window();
    if (!link_->post({head_bytes, h.head_bytes()}, body, owner->id)) return false;
    ++owner->lent;
    unsent_ = true;
    home->make_dirty(*this);
  }
  told(h.ack);
  return true;
}

/// Control frames are best effort: when there is no room, traffic is on its way anyway, and the caller asks again.
/// False: the link has no room for it, or there is none.
bool session::send_control(wire::type t, std::uint64_t a) {
  if (!link_) return false;
  wire::head h{};
  h.type = t;
  h.a = a;
  return put_small(h, {}, {});
}

/// The fragments of [offset, offset + length) of the op's memory, in scratch, behind so many others.
std::span<const const_buffer> session::slice_list(const op_state& o, std::uint64_t offset, std::uint64_t length,
                                                  std::size_t first) {
  std::size_t n = first;
  for (std::size_t i = 0; i < o.fragments && length > 0; ++i) {
    const const_buffer& f = o.list[i];
    if (offset >= f.size()) {
      offset -= f.size();
      continue;
    }
    const std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(f.size() - offset, length));
    slice_scratch[n++] = f.subspan(static_cast<std::size_t>(offset), take);
    length -= take;
    offset = 0;
  }
  return {slice_scratch.data(), n};
}

bool session::build_write(const tx_entry& e, wire::head& h) {
  const op_state& o = *e.op;
  h.a = o.key;
  h.b = o.offset + e.offset;
  const std::uint64_t ext[3] = {o.imm, o.offset, o.length};
  const bool told = e.flags & wire::notify;
  const auto body = e.length == o.length ? std::span(o.list, o.fragments) : slice_list(o, e.offset, e.length);
  return put_frame(h, std::span(ext, told ? 3 : 0), body, e.length, e.op);
}

bool session::build_large_send(op_state& o, wire::head& h) {
  const bool eager = o.options & opt_eager;
  std::uint64_t ext[1] = {0};
  if (!eager) ext[0] = share_direct(o, access::read);
  slice_scratch[0] = {o.header, o.header_size};
  const std::uint64_t whole = eager ? o.length : 0;
  return put_frame(h, std::span(ext, eager ? 0 : 1), slice_list(o, 0, whole, 1), o.header_size + whole, &o);
}

bool session::build_answer(const tx_entry& e, wire::head& h) {
  const op_state& o = *e.op;
  h.op = wire::pack_op(static_cast<std::uint32_t>(o.after), e.flags);
  if (e.type == wire::type::result) {
    h.a = o.bytes;
    h.b = pack_status(o);
    const std::uint64_t ext[1] = {o.imm};
    return put_frame(h, std::span(ext, o.imm ? 1 : 0), {}, 0, nullptr);
  }
  h.a = o.length;
  h.b = e.offset;
  const std::uint64_t base = o.kind == verb::serve ? o.offset : 0;
  return put_frame(h, {}, slice_list(o, base + e.offset, e.length), e.length, e.op);
}

bool session::build_small(const tx_entry& e, wire::head& h) {
  const op_state& o = *e.op;
  h.a = o.key;
  h.b = o.offset;
  std::uint64_t ext[2] = {0, 0};
  switch (e.type) {
    case wire::type::read:
      ext[0] = o.length;
      return put_frame(h, std::span(ext, 1), {}, 0, nullptr);
    case wire::type::notify:
      ext[0] = o.imm;
      ext[1] = o.length;
      return put_frame(h, std::span(ext, 2), {}, 0, nullptr);
    case wire::type::offer_done:
      h.b = o.length;
      return put_frame(h, {}, {}, 0, nullptr);
    case wire::type::reject:
      h.b = o.imm;
      return put_frame(h, {}, {}, 0, nullptr);
    case wire::type::cancel:
      h.op = wire::pack_op(static_cast<std::uint32_t>(o.after), e.flags);
      return put_frame(h, {}, {}, 0, nullptr);
    case wire::type::open:
    case wire::type::commit: {
      const const_buffer body(o.header, o.header_size);
      return put_frame(h, {}, std::span(&body, 1), body.size(), e.op);
    }
    default:
      return put_frame(h, {}, {}, 0, nullptr);
  }
}

/// A frame whose op ended is not sent again; its place in the numbering is kept.
bool session::build_empty(const tx_entry& e, wire::head& h) {
  const bool answer = e.type == wire::type::data || e.type == wire::type::reply;
  const bool closing = e.type != wire::type::write || (e.flags & wire::last);
  h.type = answer && (e.flags & wire::last) ? wire::type::result : wire::type::nop;
  // Nobody else would answer a request whose last frame the peer does not get.
  const bool ask = !answer && closing && (e.op->options & opt_expect);
  h.op = wire::pack_op(answer ? static_cast<std::uint32_t>(e.op->after) : e.op->index(),
                       static_cast<std::uint8_t>(ask ? wire::wants_result : 0));
  h.b = e.op->error != 0 ? pack_status(*e.op) : static_cast<std::uint64_t>(errc::session_lost);
  return put_frame(h, {}, {}, 0, nullptr);
}

bool session::log(const tx_entry& e) { return log_inline(e); }

/// From its log entry, at any time.
bool session::build(const tx_entry& e) { return build_inline(e); }

}  // namespace kfx::engine
