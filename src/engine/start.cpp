// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// From a verb's arguments to an op in its session. Whatever is wrong with them is the op's result.

#include <algorithm>
#include <cstring>

#include "base/random.hpp"
#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"
#include "kfx/peer.hpp"

namespace kfx::detail {

using engine::session;
namespace opt = engine;

namespace {

session& of(peer_state& p) noexcept { return static_cast<session&>(p); }

void fail(op_state& o, errc e) noexcept {
  if (o.error == 0) o.error = static_cast<int>(e);
}

/// With what the sentence about it shall say.
void fail(op_state& o, errc e, engine::refused why, std::uint64_t number = 0) noexcept {
  if (o.error != 0) return;
  fail(o, e);
  o.error_domain = why;
  o.moved = number;
}

template <class Buffer>
const const_buffer* keep_list(std::span<const Buffer> from, const_buffer* inline_list, std::size_t inline_size,
                              std::uint32_t& options, std::uint32_t pooled) {
  const_buffer* to = inline_list;
  if (from.size() > inline_size) {
    to = static_cast<const_buffer*>(engine::pool_allocate(from.size() * sizeof(const_buffer)));
    options |= pooled;
  }
  std::copy(from.begin(), from.end(), to);
  return to;
}

template <class Buffers>
void take_list(op_state& o, const Buffers& b) {
  const auto list = b.list();
  if (list.size() > limits::fragments) return fail(o, errc::too_many_fragments, engine::refused_fragments, list.size());
  o.fragments = static_cast<std::uint16_t>(list.size());
  o.list = keep_list(list, o.inline_list, 2, o.options, engine::opt_list_pooled);
  o.length = b.bytes();
}

void copy_header(op_state& o, const_buffer bytes) {
  o.header_size = static_cast<std::uint32_t>(bytes.size());
  if (bytes.empty()) return;
  auto* copy = static_cast<std::byte*>(engine::pool_allocate(bytes.size()));
  std::memcpy(copy, bytes.data(), bytes.size());
  o.header = copy;
  o.options |= engine::opt_header_pooled;
}

void take_target(op_state& o, const remote_region& r, access want) {
  const auto f = r.raw();
  o.key = f.key;
  o.offset = f.offset;
  o.direct = f.direct;
  o.epoch = f.epoch;
  if (f.key == 0) return fail(o, errc::stale_region);
  if (!(f.flags & static_cast<unsigned>(want))) fail(o, errc::access_denied);
  if (o.length > f.length || f.offset + o.length < f.offset)
    fail(o, errc::out_of_bounds, engine::refused_range, f.length);
  o.bytes = f.incarnation;  // compared when the op starts
  if (r.single_use()) o.options |= engine::opt_offer;
}

void prepare_write(op_state& o, const request& r) {
  take_list(o, r.from);
  take_target(o, r.where[0], access::write);
  const op_options& w = r.options;
  if (w.notify) {
    o.options |= engine::opt_notify | engine::opt_expect;
    o.imm = *w.notify;
  }
  if (w.durable) {
    o.options |= engine::opt_durable | engine::opt_expect;
    if (!r.where[0].persistent()) fail(o, errc::not_persistent);
  }
  if (w.write8) {
    o.options |= engine::opt_write8;
    if (o.length != 8 || o.offset % 8 != 0) fail(o, errc::misaligned, engine::refused_alignment);
  }
  if (!w.last && !(o.options & engine::opt_offer)) fail(o, errc::bad_option, engine::refused_last_region);
}

void prepare_read(op_state& o, const request& r) {
  take_list(o, r.into);
  take_target(o, r.where[0], access::read);
  o.options |= engine::opt_expect;
  if (!r.options.last && !(o.options & engine::opt_offer)) fail(o, errc::bad_option, engine::refused_last_region);
}

void prepare_send(op_state& o, const request& r) {
  take_list(o, r.from);
  const auto header = r.header.list();
  const std::size_t size = r.header.bytes();
  if (size > limits::header) return fail(o, errc::header_too_long, engine::refused_header, size);
  o.header_size = static_cast<std::uint32_t>(size);
  if (header.size() == 1) o.header = header[0].data();
  if (header.size() > 1) {  // a header in pieces is gathered: it is small
    std::array<std::byte, limits::header> flat;
    std::size_t at = 0;
    for (const const_buffer& h : header) {
      if (!h.empty()) std::memcpy(flat.data() + at, h.data(), h.size());
      at += h.size();
    }
    copy_header(o, {flat.data(), at});
  }
  // A message that comes whole and wants no reply ends with the ack; others with what the peer says.
  o.options |= o.length <= o.owner->settings.eager ? engine::opt_eager : engine::opt_expect;
  if (!r.options.reply.list().empty()) {
    const auto list = r.options.reply.list();
    if (list.size() > limits::fragments)
      return fail(o, errc::too_many_fragments, engine::refused_fragments, list.size());
    o.options |= engine::opt_reply | engine::opt_expect;
    o.reply_fragments = static_cast<std::uint16_t>(list.size());
    o.reply_list = keep_list(list, &o.inline_reply, 1, o.options, engine::opt_reply_pooled);
  }
}

void prepare_commit(op_state& o, const request& r) {
  o.options |= engine::opt_expect;
  if (r.where.size() > limits::fragments)
    return fail(o, errc::too_many_fragments, engine::refused_fragments, r.where.size());
  std::vector<std::uint64_t> ranges;
  for (const remote_region& w : r.where) {
    const auto f = w.raw();
    ranges.insert(ranges.end(), {f.key, f.offset, f.length});
    if (!w.persistent()) fail(o, errc::not_persistent);
  }
  copy_header(o, std::as_bytes(std::span(ranges)));
}

void prepare_open(op_state& o, const request& r) {
  o.options |= engine::opt_expect;
  o.header_size = static_cast<std::uint32_t>(std::min(r.name.size(), limits::name));
  if (!r.name.empty())
    std::memcpy(static_cast<void*>(o.inline_list), r.name.data(), std::min(r.name.size(), engine::name_kept));
  if (r.name.size() > limits::name) return fail(o, errc::bad_option, engine::refused_name, r.name.size());
  copy_header(o, std::as_bytes(std::span(r.name)));
}

op_state* make(session& s, verb kind, kfx::lane lane) {
  op_state* o = s.home->make_op(kind, true);
  if (!o) throw error(make_error_code(errc::out_of_resources), "no memory for another op; lower options::max_ops");
  o->owner = &s;
  o->lane = lane;
  return o;
}

/// Options that are another verb's.
void check_options(op_state& o, const op_options& asked) {
  const bool of_write = asked.notify || asked.durable || asked.write8;
  if (of_write && o.kind != verb::write) fail(o, errc::bad_option, engine::refused_write_option);
  if (!asked.last && o.kind != verb::write && o.kind != verb::read)
    fail(o, errc::bad_option, engine::refused_last_option);
  if (!asked.reply.list().empty() && o.kind != verb::send) fail(o, errc::bad_option, engine::refused_reply_option);
}

op_state* make(session& s, verb kind, const op_options& options) {
  op_state* o = make(s, kind, options.lane);
  check_options(*o, options);
  o->after = options.after;
  if (options.last) o->options |= engine::opt_last;
  if (options.deadline.set())
    o->timer.expiry = std::max<std::int64_t>(
        1, std::chrono::duration_cast<std::chrono::nanoseconds>(options.deadline.at().time_since_epoch()).count());
  return o;
}

op_state* submit(op_state* o) {
  if (o->owner->stopped.load(std::memory_order_acquire)) {
    o->error = static_cast<int>(errc::node_stopped);
    o->error_domain = 0;
    o->bits.fetch_or(op_done | op_engine_gone, std::memory_order_acq_rel);
    return o;
  }
  o->home->submit_fresh(*o);
  return o;
}

}  // namespace

op_state* start(peer_state& p, const request& r) {
  op_state* o = make(of(p), r.kind, r.options);
  switch (r.kind) {
    case verb::write:
      prepare_write(*o, r);
      break;
    case verb::read:
      prepare_read(*o, r);
      break;
    case verb::send:
      prepare_send(*o, r);
      break;
    case verb::commit:
      prepare_commit(*o, r);
      break;
    default:
      prepare_open(*o, r);
      break;
  }
  return submit(o);
}

namespace {

bool plain(const op_options& w) noexcept {
  return !w.durable && !w.notify && !w.deadline.set() && w.after == 0 && w.last && !w.write8 && w.reply.list().empty();
}

/// What of such a message is known already is all there is to know.
op_state* start_plain(session& s, const_buffer header, const_buffer payload, kfx::lane lane) {
  op_state* o = make(s, verb::send, lane);
  o->header = header.data();
  o->header_size = static_cast<std::uint32_t>(header.size());
  o->length = payload.size();
  o->list = o->inline_list;
  o->options |= engine::opt_eager | engine::opt_plain;
  if (!payload.empty()) {
    o->inline_list[0] = payload;
    o->fragments = 1;
  }
  if (s.stopped.load(std::memory_order_acquire)) return submit(o);
  s.home->submit_plain(*o);
  return o;
}

}  // namespace

op_state* start_send(peer_state& p, const const_buffers& header, const const_buffers& payload, const op_options& w) {
  session& s = of(p);
  const auto h = header.list(), b = payload.list();
  if (h.size() <= 1 && b.size() <= 1 && plain(w)) [[likely]] {
    const const_buffer first = h.empty() ? const_buffer() : h[0], second = b.empty() ? const_buffer() : b[0];
    if (first.size() + second.size() <= engine::copy_limit && second.size() <= s.settings.eager)
      return start_plain(s, first, second, w.lane);
  }
  return start(p, {.kind = verb::send, .from = payload, .header = header, .options = w});
}

namespace {

/// Moved here and now where a copy does it; else an op as any other.
template <class Buffer>
op_state* start_transfer(session& s, verb kind, std::span<const Buffer> local, const remote_region& remote,
                         kfx::lane lane) {
  op_state* o = make(s, kind, lane);
  o->list = o->inline_list;
  o->options |= engine::opt_last;
  if (!local.empty()) {
    o->inline_list[0] = local[0];
    o->fragments = 1;
    o->length = local[0].size();
  }
  take_target(*o, remote, kind == verb::write ? access::write : access::read);
  if (s.home->transfer_plainly(*o)) return o;
  if (kind == verb::read) o->options |= engine::opt_expect;
  return submit(o);
}

}  // namespace

op_state* start_write(peer_state& p, const const_buffers& from, const remote_region& to, const op_options& w) {
  const auto list = from.list();
  if (list.size() <= 1 && plain(w)) return start_transfer(of(p), verb::write, list, to, w.lane);
  return start(p, {.kind = verb::write, .from = from, .where = {&to, 1}, .options = w});
}

op_state* start_read(peer_state& p, const mutable_buffers& into, const remote_region& from, const op_options& w) {
  const auto list = into.list();
  if (list.size() <= 1 && plain(w)) return start_transfer(of(p), verb::read, list, from, w.lane);
  return start(p, {.kind = verb::read, .into = into, .where = {&from, 1}, .options = w});
}

op_state* start_reject(peer_state& p, const remote_region& offered, std::error_code why, const op_options& options) {
  op_state* o = make(of(p), verb::reject, options);
  o->key = offered.raw().key;
  o->imm = engine::pack_error(why ? why : make_error_code(errc::rejected));
  if (!offered.single_use()) fail(*o, errc::bad_option, engine::refused_no_offer);
  return submit(o);
}

}  // namespace kfx::detail

namespace kfx {

offer peer::offer(mutable_buffers memory, access rights, const op_options& options) const {
  auto& s = static_cast<engine::session&>(*s_);
  detail::op_state* o = detail::make(s, detail::verb::offer, options);
  detail::take_list(*o, memory);
  o->key = memory::offer_key(base::random_u64(), s.home->number());
  o->imm = static_cast<std::uint64_t>(rights);
  remote_region::fields f;
  f.key = o->key;
  f.incarnation = s.home->owner().incarnation();
  f.length = o->length;
  f.flags = static_cast<std::uint16_t>(static_cast<unsigned>(rights) | 4u);
  detail::submit(o);
  s.home->with_baton([&] { s.share_offer(*o, f); });
  return kfx::offer(o, remote_region(f));
}

}  // namespace kfx
