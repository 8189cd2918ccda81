// SPDX-License-Identifier: BSD-2-Clause
#include "backends/loopback/loopback_link.hpp"

#include <cstring>
#include <new>

namespace kfx::loopback {
namespace {

/// A poll copies about so many bytes of lent bodies, then lets others have their turn.
constexpr std::size_t piece = 256 * 1024;
constexpr std::size_t least_head = 32;

std::size_t frame_length(const_buffer bytes) {
  std::uint32_t length;
  std::memcpy(&length, bytes.data(), sizeof length);
  return length;
}
std::size_t head_length(const_buffer bytes) { return std::to_integer<std::size_t>(bytes[5]) * 8; }

std::error_code reset() { return std::make_error_code(std::errc::connection_reset); }

}  // namespace

loopback_link::loopback_link(std::shared_ptr<link_pair> pair, unsigned end)
    : pair_(std::move(pair)),
      end_(end),
      out_(pair_->ways[end]),
      in_(pair_->ways[1 - end]),
      self_(pair_->ends[end]),
      peer_(pair_->ends[1 - end]),
      memory_(self_.exports, peer_.exports) {}

std::span<std::byte> loopback_link::reserve(std::size_t at_least) {
  if (closed_) return {};
  const auto window = out_.ring.reserve(at_least, caps_.max_window);
  starved_ = window.empty() ? at_least : 0;
  return window;
}

void loopback_link::commit(std::size_t bytes) {
  if (closed_ || bytes == 0) return;
  out_.ring.commit(byte_ring::kind::frames, bytes);
  unrung_ = true;
}

bool loopback_link::post(const_buffer head, std::span<const const_buffer> body, backend::cookie id) {
  if (closed_) return false;
  const std::size_t bytes = total(body);
  const bool whole = head.size() + bytes <= backend::whole_limit;
  const bool taken = whole ? post_copied(head, body, bytes, id) : post_lent(head, body, bytes, id);
  unrung_ |= taken;
  return taken;
}

bool loopback_link::post_copied(const_buffer head, std::span<const const_buffer> body, std::size_t bytes,
                                backend::cookie id) {
  if (!sent_.prepare()) return false;
  const auto window = reserve(head.size() + bytes);
  if (window.empty()) return false;
  std::memcpy(window.data(), head.data(), head.size());
  const std::array to{mutable_buffer(window.subspan(head.size(), bytes))};
  cursor<const_buffer> source(body);
  cursor<mutable_buffer> sink(to);
  copy(source, sink, bytes);
  out_.ring.commit(byte_ring::kind::frames, head.size() + bytes);
  sent_.push(id);
  return true;
}

bool loopback_link::post_lent(const_buffer head, std::span<const const_buffer> body, std::size_t bytes,
                              backend::cookie id) {
  starved_slot_ = lent_ - returned_ == half_link::slots;
  if (starved_slot_) return false;
  const auto window = reserve(head.size());
  if (window.empty()) return false;
  lent_body& slot = out_.lent[lent_ % half_link::slots];
  try {
    slot.list.assign(body.begin(), body.end());
  } catch (const std::bad_alloc&) {
    return false;
  }
  // No lock: the receiver looks at a slot only after the chunk that announces it, and not after releasing it.
  slot.from = cursor<const_buffer>(slot.list);
  slot.size = bytes;
  slot.taken = 0;
  slot.withdrawn = false;
  slot.released.store(false, std::memory_order_relaxed);
  slot.id = id;
  slot.silent = false;
  ++lent_;
  std::memcpy(window.data(), head.data(), head.size());
  out_.ring.commit(byte_ring::kind::lent, head.size());
  return true;
}

void loopback_link::report(backend::frame_sink& sink) {
  sent_.drain([&](backend::cookie id, std::error_code) { sink.on_sent(id); });
  while (!closed_ && returned_ != lent_) {
    lent_body& slot = out_.lent[returned_ % half_link::slots];
    if (!slot.released.load(std::memory_order_acquire)) break;
    slot.aside.reset();
    ++returned_;
    // The sink may lend this very slot again.
    const backend::cookie id = slot.id;
    if (!slot.silent) sink.on_sent(id);
  }
  memory_.ended().drain([&](backend::cookie id, std::error_code error) { sink.on_direct(id, error); });
}

std::error_code loopback_link::flush(backend::frame_sink& sink) {
  if (closed_) return reset();
  if (unrung_) {
    unrung_ = false;
    peer_.bell.ring(doorbell::data);
  }
  report(sink);
  // While frames of a peer that closed are still to be had, they are had first.
  if (!error_ && peer_.closed.load(std::memory_order_acquire) && in_.ring.empty()) error_ = reset();
  return error_;
}

backend::link::polled loopback_link::poll(backend::frame_sink& sink, unsigned budget) {
  if (armed_) {
    armed_ = false;
    self_.bell.disarm();
  }
  polled out;
  out.unsent = false;
  out.error = closed_ ? reset() : error_;
  if (out.error) return out;
  // Before looking at the ring: what the peer published before it closed is in there.
  const bool peer_gone = peer_.closed.load(std::memory_order_acquire);
  report(sink);
  piece_left_ = piece;
  bool took = false;
  while (!closed_ && out.frames < budget && step(sink, out)) took = true;
  if (closed_) return out;
  if (out.frames > 0 || took) peer_.bell.ring(doorbell::room);
  out.partial |= in_bulk_;
  if (peer_gone && !out.error && out.frames == 0 && in_.ring.empty()) die(out, reset());
  return out;
}

bool loopback_link::step(backend::frame_sink& sink, polled& out) {
  if (in_bulk_) return move_bulk(sink, out);
  if (!chunk_.empty()) return take_frame(sink, out);
  const auto front = in_.ring.front();
  if (!front) return false;
  chunk_ = front->bytes;
  return front->kind == byte_ring::kind::lent ? begin_bulk(sink, out) : take_frame(sink, out);
}

bool loopback_link::take_frame(backend::frame_sink& sink, polled& out) {
  // The other end built this in shared memory; its lengths are believed only as far as they fit.
  const std::size_t length = chunk_.size() < least_head ? 0 : frame_length(chunk_);
  if (length < least_head || length > chunk_.size()) return die(out, errc::protocol_error);
  const std::size_t head = head_length(chunk_);
  if (head < least_head || head > length) return die(out, errc::protocol_error);
  const bool wanted = sink.on_frame(chunk_.first(head), chunk_.subspan(head, length - head));
  ++out.frames;
  if (closed_) return false;
  chunk_ = chunk_.subspan(std::min(chunk_.size(), (length + caps_.align - 1) & ~(caps_.align - 1)));
  if (chunk_.empty()) in_.ring.pop();
  return wanted;
}

bool loopback_link::begin_bulk(backend::frame_sink& sink, polled& out) {
  lent_body& slot = in_.lent[taken_ % half_link::slots];
  const const_buffer head = chunk_;
  chunk_ = {};
  {
    const std::lock_guard guard(slot.lock);
    if (slot.withdrawn) return die(out, reset());
  }
  landing_ = cursor<mutable_buffer>(sink.on_bulk(head, slot.size));
  if (closed_) return false;
  in_bulk_ = true;
  return true;
}

bool loopback_link::move_bulk(backend::frame_sink& sink, polled& out) {
  if (piece_left_ == 0) return false;
  lent_body& slot = in_.lent[taken_ % half_link::slots];
  const std::size_t bytes = std::min(piece_left_, slot.size - slot.taken);
  {
    const std::lock_guard guard(slot.lock);
    if (slot.withdrawn) return die(out, reset());
    copy(slot.from, landing_, bytes);
    slot.taken += bytes;
  }
  piece_left_ -= bytes;
  if (slot.taken < slot.size) return true;
  slot.released.store(true, std::memory_order_release);
  ++taken_;
  in_bulk_ = false;
  landing_ = {};
  in_.ring.pop();
  ++out.frames;
  return sink.on_bulk_done();
}

bool loopback_link::die(polled& out, std::error_code error) {
  error_ = out.error = error;
  return false;
}

bool loopback_link::quiesce(backend::cookie id) {
  sent_.forget(id);
  memory_.ended().forget(id);
  for (std::uint64_t i = returned_; i != lent_; ++i) {
    lent_body& slot = out_.lent[i % half_link::slots];
    if (slot.id != id || slot.silent) continue;
    slot.silent = true;
    take_back(slot);
  }
  return true;
}

void loopback_link::take_back(lent_body& slot) {
  const std::lock_guard guard(slot.lock);
  const std::size_t left = slot.size - slot.taken;
  if (left == 0 || slot.withdrawn) return;
  slot.aside.reset(new (std::nothrow) std::byte[left]);
  if (!slot.aside) {
    // Without memory to finish the frame from, the link cannot stay whole.
    slot.withdrawn = true;
    return;
  }
  const std::array to{mutable_buffer(slot.aside.get(), left)};
  cursor<mutable_buffer> sink(to);
  copy(slot.from, sink, left);
  slot.aside_bytes = {slot.aside.get(), left};
  slot.from = cursor<const_buffer>(std::span(&slot.aside_bytes, 1));
}

void loopback_link::divert() { landing_ = {}; }

/// Whether the sleeper would miss something that happened before its bell was armed.
bool loopback_link::awaits_nothing() {
  if (!sent_.empty() || !memory_.ended().empty()) return false;
  if (!in_.ring.empty() || peer_.closed.load(std::memory_order_acquire)) return false;
  if (returned_ != lent_ && out_.lent[returned_ % half_link::slots].released.load(std::memory_order_acquire))
    return false;
  const bool slot = starved_slot_ && lent_ - returned_ < half_link::slots;
  const bool room = starved_ > 0 && !out_.ring.reserve(starved_, caps_.max_window).empty();
  // Said once: who has nothing to send any more would be kept awake for ever.
  if (slot) starved_slot_ = false;
  if (room) starved_ = 0;
  return !slot && !room;
}

backend::wait_handle loopback_link::arm() {
  if (closed_) return {};
  const bool wants_room = starved_ > 0 || returned_ != lent_;
  self_.bell.arm(doorbell::data | (wants_room ? doorbell::room : 0u));
  armed_ = true;
  if (error_ || !awaits_nothing()) self_.bell.signal();
  return {self_.bell.fd(), true, false};
}

void loopback_link::close() {
  if (closed_) return;
  closed_ = true;
  for (std::uint64_t i = returned_; i != lent_; ++i) {
    lent_body& slot = out_.lent[i % half_link::slots];
    const std::lock_guard guard(slot.lock);
    slot.withdrawn = true;
  }
  sent_.clear();
  memory_.close();
  self_.closed.store(true, std::memory_order_release);
  peer_.bell.ring(doorbell::data | doorbell::room);
}

std::string loopback_link::peer_address() const {
  return "loop://" + pair_->name + (end_ == 0 ? "" : "?link=" + std::to_string(pair_->number));
}

std::string loopback_link::describe() const {
  return "loop " + pair_->name + (end_ == 0 ? " (connecting end)" : " (accepting end)");
}

}  // namespace kfx::loopback
