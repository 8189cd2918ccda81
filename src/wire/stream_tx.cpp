// SPDX-License-Identifier: BSD-2-Clause
#include "wire/stream_tx.hpp"

#include <cassert>
#include <cstdlib>
#include <cstring>

namespace kfx::wire {
namespace {

constexpr std::size_t pieces_a_send = 64;  // what byte_stream::send takes
constexpr std::size_t pieces_kept = 128;   // by an idle link: 2 KiB
constexpr std::size_t bodies_kept = stream_tx::max_bodies;

}  // namespace

/// Makes the last stage one with that much room.
bool stream_tx::stage_room(std::size_t bytes) noexcept {
  if (pieces_.empty() && stage_count_ > 0) {  // all of it is sent: start over at its beginning
    stages_[0].used = 0;
    stages_[0].end = sent_;
  }
  if (stage_count_ > 0 && chunk_size - stages_[stage_count_ - 1].used >= bytes) return true;
  if (stage_count_ == max_chunks || bytes > chunk_size) return false;
  std::byte* chunk = acquire_chunk();
  if (!chunk) return false;
  stages_[stage_count_++] = {chunk, 0, queued_};
  return true;
}

std::span<std::byte> stream_tx::reserve(std::size_t at_least) noexcept {
  if (error_) return {};
  if (!pieces_.make_room(1) || !stage_room(at_least)) {
    refused_ = true;
    return {};
  }
  window_ = true;
  stage& s = stages_[stage_count_ - 1];
  return {s.chunk + s.used, chunk_size - s.used};
}

void stream_tx::commit(std::size_t bytes) noexcept {
  if (!window_ || bytes == 0) return;
  window_ = false;
  stage& s = stages_[stage_count_ - 1];
  assert(bytes <= chunk_size - s.used);
  stage_piece(s.chunk + s.used, bytes);
}

/// Queues bytes that stand at the end of the last stage.
void stream_tx::stage_piece(std::byte* at, std::size_t bytes) noexcept {
  if (staged_end_ == at) {
    pieces_.back().iov_len += bytes;
  } else {
    pieces_.push({at, bytes});
  }
  staged_end_ = at + bytes;
  queued_ += bytes;
  stage& s = stages_[stage_count_ - 1];
  s.used += bytes;
  s.end = queued_;
}

void stream_tx::stage_copy(const_buffer bytes) noexcept {
  stage& s = stages_[stage_count_ - 1];
  std::byte* at = s.chunk + s.used;
  std::memcpy(at, bytes.data(), bytes.size());
  stage_piece(at, bytes.size());
}

void stream_tx::lend(const_buffer fragment) noexcept {
  pieces_.push({const_cast<std::byte*>(fragment.data()), fragment.size()});
  staged_end_ = nullptr;
  queued_ += fragment.size();
}

bool stream_tx::post(const_buffer head, std::span<const const_buffer> body, backend::cookie c) noexcept {
  if (error_) return false;
  const bool full =
      queued_ - sent_ >= max_waiting || bodies_.size() >= max_bodies || pieces_.size() + body.size() >= max_pieces;
  if (!pieces_.empty() && full) {
    refused_ = true;
    return false;
  }
  if (!pieces_.make_room(body.size() + 1) || !bodies_.make_room(1) || !stage_room(head.size())) {
    refused_ = true;
    return false;
  }
  window_ = false;
  stage_copy(head);
  const std::uint64_t begin = queued_;
  for (const const_buffer& fragment : body) {
    if (fragment.empty()) continue;
    if (fragment.size() <= copy_limit && fragment.size() <= chunk_size - stages_[stage_count_ - 1].used) {
      stage_copy(fragment);
    } else {
      lend(fragment);
    }
  }
  bodies_.push({c, begin, queued_, nullptr, false});
  return true;
}

void stream_tx::send(backend::byte_stream& stream, backend::frame_sink& sink) {
  while (!error_ && !pieces_.empty()) {
    const auto pieces = pieces_.first(pieces_a_send);
    std::size_t asked = 0;
    for (const ::iovec& p : pieces) asked += p.iov_len;
    const auto moved = stream.send(pieces);
    if (moved.error) {
      error_ = moved.error;
      break;
    }
    consume(moved.bytes, sink);
    if (moved.bytes < asked) break;  // the stream is full: another call would only say so
  }
}

/// The stream took that many bytes. Everything is in order before the sink hears of it: it may post again.
void stream_tx::consume(std::size_t bytes, backend::frame_sink& sink) {
  sent_ += bytes;
  while (bytes > 0) {
    ::iovec& p = pieces_.front();
    if (bytes < p.iov_len) {
      p.iov_base = static_cast<std::byte*>(p.iov_base) + bytes;
      p.iov_len -= bytes;
      break;
    }
    bytes -= p.iov_len;
    pieces_.pop();
  }
  release_stages(1);  // the last one still takes bytes
  while (!bodies_.empty() && bodies_.front().end <= sent_) {
    const body done = bodies_.front();
    bodies_.pop();
    std::free(done.copy);
    if (!done.quiet) sink.on_sent(done.cookie);
  }
}

/// Gives back stages that are sent, but for so many.
void stream_tx::release_stages(std::size_t needed) noexcept {
  if (pieces_.empty()) staged_end_ = nullptr;
  std::size_t gone = 0;
  while (stage_count_ - gone > needed && stages_[gone].end <= sent_) release_chunk(stages_[gone++].chunk);
  if (gone == 0) return;
  for (std::size_t i = gone; i < stage_count_; ++i) stages_[i - gone] = stages_[i];
  stage_count_ -= gone;
}

void stream_tx::rest() noexcept {
  window_ = false;
  if (pieces_.empty()) release_stages(0);
  pieces_.trim(pieces_kept);
  bodies_.trim(bodies_kept);
}

bool stream_tx::staged(const void* p) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  for (std::size_t i = 0; i < stage_count_; ++i) {
    const auto chunk = reinterpret_cast<std::uintptr_t>(stages_[i].chunk);
    if (at >= chunk && at - chunk < chunk_size) return true;
  }
  return false;
}

/// Calls f(iovec&) for the unsent pieces of a body that are still the user's memory.
template <class F>
void stream_tx::each_lent_piece(const body& b, F f) noexcept {
  std::uint64_t at = sent_;
  for (std::size_t i = 0; i < pieces_.size() && at < b.end; ++i) {
    ::iovec& p = pieces_[i];
    // A staged piece may hold the ends of two frames; a lent one lies within one body.
    if (at >= b.begin && !staged(p.iov_base)) f(p);
    at += p.iov_len;
  }
}

bool stream_tx::detach(body& b) noexcept {
  b.quiet = true;
  std::size_t bytes = 0;
  each_lent_piece(b, [&](const ::iovec& p) { bytes += p.iov_len; });
  if (bytes == 0) return true;
  auto* copy = static_cast<std::byte*>(std::malloc(bytes));
  if (!copy) return false;
  b.copy = copy;
  each_lent_piece(b, [&](::iovec& p) {
    std::memcpy(copy, p.iov_base, p.iov_len);
    p.iov_base = copy;
    copy += p.iov_len;
  });
  return true;
}

bool stream_tx::quiesce(backend::cookie c) noexcept {
  for (std::size_t i = 0; i < bodies_.size(); ++i) {
    body& b = bodies_[i];
    // The frame has a place in the stream, begun or not: it is finished from the copy.
    if (b.cookie == c && !b.quiet && !detach(b)) return false;
  }
  return true;
}

void stream_tx::close() noexcept {
  error_ = std::make_error_code(std::errc::not_connected);
  for (std::size_t i = 0; i < bodies_.size(); ++i) std::free(bodies_[i].copy);
  bodies_.clear();
  pieces_.clear();
  sent_ = queued_;
  rest();
}

}  // namespace kfx::wire
