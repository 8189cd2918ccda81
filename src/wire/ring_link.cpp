// SPDX-License-Identifier: BSD-2-Clause
#include "wire/ring_link.hpp"

#include <atomic>
#include <cstring>
#include <new>

#include "kfx/error.hpp"

namespace kfx::wire {
namespace {

/// A poll copies about so many bytes of bodies, then lets others have their turn.
constexpr std::size_t piece = 256 * 1024;
/// A peer that ended while this side spins is found after so many looks at an empty ring.
constexpr unsigned ask_after_peer = 8192;
/// Of frames in a chunk.
constexpr std::size_t alignment = 8;

std::error_code reset() { return std::make_error_code(std::errc::connection_reset); }

std::uint32_t exchange(std::uint32_t& word, std::uint32_t v) noexcept {
  return __atomic_exchange_n(&word, v, __ATOMIC_ACQ_REL);
}

}  // namespace

// Memory order of the bell: as of loopback's doorbell. Both sides change a `wants` word by read-modify-write with
// acquire and release, so either the sleeper sees what was published, or the waker sees that it sleeps. Where the
// sleeper fences for both (src/base/asymmetric_fence.hpp), the waker only looks at the word, unless it finds it set:
// the read-modify-write would wait until the other side's processor has given up the line that was just written.

ring_link::ring_link(std::unique_ptr<backend::ring_pair> pair)
    : pair_(std::move(pair)),
      memory_(pair_->direct()),
      writer_(pair_->map().out, *pair_->map().out_freed),
      reader_(pair_->map().in, *pair_->map().in_freed),
      own_wants_(pair_->map().own_wants),
      peer_wants_(pair_->map().peer_wants),
      sleeper_fences_(pair_->map().sleeper_fences) {
  caps_.align = alignment;
  caps_.looks_at_memory = true;
  caps_.max_window = writer_.max_chunk();
}

std::span<std::byte> ring_link::reserve(std::size_t at_least) {
  if (closed_) return {};
  // Behind bodies that wait nothing is built: it would come before them.
  const auto window = lent_ == returned_ ? writer_.reserve(at_least, caps_.max_window) : std::span<std::byte>();
  starved_ = window.empty() ? at_least : 0;
  return window;
}

void ring_link::commit(std::size_t bytes) {
  if (closed_ || bytes == 0) return;
  publish(chunk_kind::frames, bytes);
}

void ring_link::publish(chunk_kind k, std::size_t bytes) noexcept {
  writer_.publish(k, bytes);
  unrung_ = true;
}

bool ring_link::post(const_buffer head, std::span<const const_buffer> body, backend::cookie id) {
  if (closed_ || !sent_.prepare()) return false;
  const std::size_t bytes = base::total(body);
  const bool whole = head.size() + bytes <= backend::whole_limit && lent_ == returned_;
  if (whole && post_copied(head, body, bytes, id)) return true;
  return post_lent(head, body, bytes, id);
}

bool ring_link::post_copied(const_buffer head, std::span<const const_buffer> body, std::size_t bytes,
                            backend::cookie id) {
  const auto window = reserve(head.size() + bytes);
  if (window.empty()) return false;
  std::memcpy(window.data(), head.data(), head.size());
  const std::array to{mutable_buffer(window.subspan(head.size(), bytes))};
  base::cursor<const_buffer> source(body);
  base::cursor<mutable_buffer> sink(to);
  base::copy(source, sink, bytes);
  publish(chunk_kind::frames, head.size() + bytes);
  sent_.push(id);
  return true;
}

bool ring_link::post_lent(const_buffer head, std::span<const const_buffer> body, std::size_t bytes,
                          backend::cookie id) {
  refused_ = lent_ - returned_ == max_bodies;
  if (refused_) return false;
  outgoing& o = bodies_[lent_ % max_bodies];
  try {
    o.list.assign(body.begin(), body.end());
  } catch (const std::bad_alloc&) {
    return false;
  }
  std::memcpy(o.head.data(), head.data(), head.size());
  o.head_size = head.size();
  o.id = id;
  o.from = base::cursor<const_buffer>(o.list);
  o.left = bytes;
  o.silent = false;
  ++lent_;
  push_bodies();
  return true;
}

void ring_link::push_bodies() {
  while (returned_ != lent_) {
    outgoing& o = bodies_[returned_ % max_bodies];
    if (!push_body(o)) return;
    ++returned_;
    o.aside.reset();
    if (!o.silent) sent_.push(o.id);
  }
}

/// A small frame goes wherever there is room.
std::span<std::byte> ring_link::room_for_body(std::size_t bytes) noexcept {
  return bytes <= writer_.max_near() ? writer_.reserve_near(bytes) : writer_.reserve(bytes, bytes);
}

/// Copies as much of it as there is room for. False: not all.
bool ring_link::push_body(outgoing& o) {
  const bool whole = o.head_size != 0 && o.head_size + o.left <= backend::whole_limit;
  while (o.head_size + o.left != 0) {
    // A small frame is one chunk. What is more than that is in pieces that stay in the near caches: it is copied twice.
    const std::size_t head = o.head_size;
    const std::size_t body = whole ? o.left : head == 0 ? std::min(o.left, writer_.max_near()) : 0;
    const auto window = room_for_body(head + body);
    if (window.empty()) {
      body_needs_ = head + body;
      return false;
    }
    std::memcpy(window.data(), o.head.data(), head);
    const std::array to{mutable_buffer(window.subspan(head, body))};
    base::cursor<mutable_buffer> sink(to);
    base::copy(o.from, sink, body);
    publish(head != 0 ? chunk_kind::frames : chunk_kind::body, head + body);
    o.head_size = 0;
    o.left -= body;
  }
  return true;
}

void ring_link::wake_who_wants(std::uint32_t what) noexcept {
  if (sleeper_fences_) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if ((__atomic_load_n(peer_wants_, __ATOMIC_RELAXED) & what) == 0) return;
  }
  if (__atomic_fetch_and(peer_wants_, ~what, __ATOMIC_ACQ_REL) & what) pair_->wake();
}

void ring_link::ring_bell() noexcept {
  unrung_ = false;
  wake_who_wants(backend::ring_pair::data);
}

std::error_code ring_link::flush(backend::frame_sink& sink) {
  if (closed_) return reset();
  if (lent_ != returned_) push_bodies();
  if (unrung_) ring_bell();
  sent_.drain([&](backend::cookie id, std::error_code) { sink.on_sent(id); });
  if (memory_used_) report_memory(sink);
  if (!closed_ && writer_.broken() && !error_) error_ = errc::protocol_error;
  return error_;
}

void ring_link::peer_ended() noexcept {
  empty_polls_ = 0;
  if (!peer_gone_) peer_gone_ = !pair_->awake();
}

void ring_link::report_memory(backend::frame_sink& sink) {
  memory_used_ = false;
  if (!memory_) return;
  memory_->report(sink);
  memory_used_ |= !memory_->idle();
}

/// What is not the case in most polls.
bool ring_link::poll_prelude(backend::frame_sink& sink, polled& out) {
  if (armed_) {
    armed_ = false;
    exchange(*own_wants_, 0);
    peer_ended();
  }
  out.error = closed_ ? reset() : error_;
  if (out.error) return false;
  sent_.drain([&](backend::cookie id, std::error_code) { sink.on_sent(id); });
  report_memory(sink);
  // By the sink.
  if (closed_) return false;
  if (lent_ != returned_) {
    push_bodies();
    if (unrung_) ring_bell();
  }
  // Asked before the ring is looked at: what the peer published before it ended is in there.
  if (empty_polls_ >= ask_after_peer) peer_ended();
  return true;
}

backend::link::polled ring_link::poll(backend::frame_sink& sink, unsigned budget) {
  polled out;
  out.unsent = false;
  const bool plain = !armed_ && !closed_ && !error_ && sent_.empty() && lent_ == returned_ && !memory_used_;
  if ((!plain || ++empty_polls_ >= ask_after_peer) && !poll_prelude(sink, out)) return out;
  const bool gone = peer_gone_;
  bool took = false;
  piece_left_ = piece;
  while (out.frames < budget && step(sink, out)) took = true;
  if (took || out.frames != 0)
    empty_polls_ = 0;
  else if (gone && !out.error && !closed_)
    die(out, reset());
  // What it tells stays on this side until the writer looks, which is seldom.
  if (!closed_) gave_back_ |= reader_.give_back();
  if (std::exchange(gave_back_, false) && !closed_) wake_who_wants(backend::ring_pair::room);
  out.partial = took && bulk_left_ != 0;
  return out;
}

/// One frame, or what is there of a body. False ends the poll.
inline bool ring_link::step(backend::frame_sink& sink, polled& out) {
  if (chunk_.empty()) {
    const auto front = reader_.front();
    if (!front) return reader_.broken() ? die(out, errc::protocol_error) : false;
    kind_ = front->kind;
    chunk_ = front->bytes;
  }
  // A body's pieces follow its head and nothing else does.
  if ((kind_ == chunk_kind::body) != (bulk_left_ != 0)) return die(out, errc::protocol_error);
  return bulk_left_ != 0 ? take_piece(sink, out) : take_frame(sink, out);
}

inline bool ring_link::take_frame(backend::frame_sink& sink, polled& out) {
  // Copied before it is looked at: the peer can change what is in the ring.
  alignas(wire::head) std::byte copy[max_head];
  const std::byte* const from = chunk_.data();
  if (chunk_.size() < head_size) return die(out, errc::protocol_error);
  const wire::head h = take(from);
  put(copy, h);
  const std::size_t head = h.head_bytes();
  const std::size_t length = h.length;
  if (!sound(h) || head > chunk_.size()) return die(out, errc::protocol_error);
  if (head > head_size) std::memcpy(copy + head_size, from + head_size, head - head_size);
  if (length > chunk_.size()) return begin_bulk(sink, out, h, {copy, head});
  const bool wanted = sink.on_frame({copy, head}, {from + head, length - head});
  ++out.frames;
  if (closed_) return false;
  const std::size_t whole = (length + alignment - 1) & ~(alignment - 1);
  if (whole < chunk_.size()) {
    chunk_ = chunk_.subspan(whole);
  } else {
    chunk_ = {};
    pop();
  }
  return wanted;
}

bool ring_link::begin_bulk(backend::frame_sink& sink, polled& out, const wire::head& h, const_buffer head) {
  if (h.length <= backend::whole_limit || chunk_.size() != head.size()) return die(out, errc::protocol_error);
  chunk_ = {};
  pop();
  bulk_left_ = h.body_bytes();
  const auto landing = sink.on_bulk(head, bulk_left_);
  if (closed_) return false;
  landing_ = base::cursor<mutable_buffer>(landing);
  return true;
}

bool ring_link::take_piece(backend::frame_sink& sink, polled& out) {
  if (piece_left_ == 0) return false;
  if (chunk_.size() > bulk_left_) return die(out, errc::protocol_error);
  base::cursor<const_buffer> from(std::span(&chunk_, 1));
  const std::size_t bytes = chunk_.size();
  base::copy(from, landing_, bytes);
  piece_left_ -= std::min(piece_left_, bytes);
  bulk_left_ -= bytes;
  chunk_ = {};
  pop();
  if (bulk_left_ != 0) return true;
  landing_ = {};
  ++out.frames;
  return sink.on_bulk_done() && !closed_;
}

bool ring_link::die(polled& out, std::error_code error) {
  error_ = out.error = error;
  return false;
}

bool ring_link::quiesce(backend::cookie id) {
  sent_.forget(id);
  if (memory_) memory_->forget(id);
  for (std::uint64_t i = returned_; i != lent_; ++i) {
    outgoing& o = bodies_[i % max_bodies];
    if (o.id != id || o.silent) continue;
    o.silent = true;
    if (set_aside(o)) continue;
    // Without memory for a copy the frame cannot be finished: the link ends, and the memory is as quiet.
    close();
    return true;
  }
  return true;
}

bool ring_link::set_aside(outgoing& o) {
  o.aside.reset(new (std::nothrow) std::byte[o.left]);
  if (!o.aside) return false;
  const std::array to{mutable_buffer(o.aside.get(), o.left)};
  base::cursor<mutable_buffer> sink(to);
  base::copy(o.from, sink, o.left);
  o.aside_bytes = {o.aside.get(), o.left};
  o.from = base::cursor<const_buffer>(std::span(&o.aside_bytes, 1));
  return true;
}

/// Whether somebody who was refused may ask again. Said once: who has nothing to send any more would be kept awake for
/// ever.
bool ring_link::has_room() {
  if (lent_ != returned_ && !room_for_body(body_needs_).empty()) return true;
  const bool slot = refused_ && lent_ - returned_ < max_bodies;
  const bool space = starved_ != 0 && lent_ == returned_ && !writer_.reserve(starved_, caps_.max_window).empty();
  if (slot) refused_ = false;
  if (space) starved_ = 0;
  return slot || space;
}

backend::wait_handle ring_link::arm() {
  if (closed_ || error_ || !sent_.empty() || !chunk_.empty() || (memory_ && !memory_->idle())) return {};
  const bool wants_room = starved_ != 0 || lent_ != returned_;
  exchange(*own_wants_, backend::ring_pair::data | (wants_room ? std::uint32_t{backend::ring_pair::room} : 0u));
  pair_->fence();
  armed_ = true;
  if (!reader_.empty() || has_room()) return {};
  return {pair_->native_handle(), true, false};
}

void ring_link::close() {
  if (closed_) return;
  closed_ = true;
  armed_ = false;
  sent_.clear();
  for (; returned_ != lent_; ++returned_) bodies_[returned_ % max_bodies].aside.reset();
  landing_ = {};
  chunk_ = {};
  pair_->close();
}

}  // namespace kfx::wire
