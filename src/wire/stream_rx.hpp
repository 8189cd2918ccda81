// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The receiving half of the framer: small frames are handed over in the receive buffer, large bodies are received
/// straight into where the engine wants them.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kfx/backend/byte_stream.hpp"
#include "kfx/backend/link.hpp"
#include "kfx/error.hpp"
#include "wire/chunk_pool.hpp"

namespace kfx::wire {

/// One call of `recv` scatters into the rest of a landing and, behind it, the receive buffer, so that the frames
/// that follow come along. The bytes asked for behind a landing (read-ahead) are few while large frames come:
/// they may be the begin of the next body, and would be copied. The functions are those of backend::link.
class stream_rx {
 public:
  static constexpr std::size_t least_ahead = 4 * 1024;

  stream_rx() = default;
  stream_rx(const stream_rx&) = delete;
  stream_rx& operator=(const stream_rx&) = delete;
  ~stream_rx() { release_chunk(buffer_); }

  backend::link::polled poll(backend::byte_stream&, backend::frame_sink&, unsigned budget);
  void divert() noexcept { landing_ = {}; }
  /// `poll` has something to say without new bytes (frames held back by a budget, an error).
  bool ready() const noexcept;
  /// While nobody uses the link: gives back an empty buffer.
  void rest() noexcept;
  /// Allowed from inside a sink's function.
  void close() noexcept;

 private:
  struct received {
    std::size_t bytes;
    bool full;  ///< all that was asked for: there may be more
  };

  bool empty() const noexcept { return begin_ == end_ && !bulk_; }  ///< then nothing is known to be missing either
  received receive_ahead(backend::byte_stream&);
  received receive(backend::byte_stream&);
  bool parse(backend::frame_sink&, unsigned budget, unsigned& frames);
  bool begin_bulk(backend::frame_sink&, const_buffer head, std::size_t body);
  void absorb() noexcept;
  void land(std::size_t bytes) noexcept;
  std::span<std::byte> room(std::size_t wanted) noexcept;
  bool carry_on(bool accepted) noexcept;
  void drop() noexcept;

  std::byte* buffer_ = nullptr;  ///< one chunk, held while the link is in use
  std::size_t begin_ = 0;        ///< received and not yet handed over: [begin_, end_)
  std::size_t end_ = 0;
  std::size_t missing_ = 0;  ///< bytes known to be missing of the small frame at begin_
  std::size_t ahead_ = chunk_size;

  bool bulk_ = false;                        ///< within the body of a large frame
  std::size_t bulk_left_ = 0;                ///< of that body, not received yet
  std::span<const mutable_buffer> landing_;  ///< where it goes; what exceeds this is discarded
  std::size_t landed_ = 0;                   ///< bytes of landing_.front() that are filled

  bool polling_ = false;
  std::error_code error_;
};

// Inline, up to the call into the stream: see engine/partition_round.cpp for what a return costs there.

inline backend::link::polled stream_rx::poll(backend::byte_stream& stream, backend::frame_sink& sink, unsigned budget) {
  backend::link::polled p;
  if (!error_ && !buffer_ && !(buffer_ = acquire_chunk())) error_ = errc::out_of_resources;
  if (error_) {
    p.error = error_;
    return p;
  }
  polling_ = true;
  bool arrived = false;
  bool starved = empty() || parse(sink, budget, p.frames);  // what the last budget held back
  while (starved) {
    const received r = bulk_ ? receive(stream) : receive_ahead(stream);
    if (r.bytes == 0) break;
    arrived = true;
    const bool was_bulk = bulk_;
    starved = parse(sink, budget, p.frames) && r.full;
    // A full buffer and no large frame in sight: small frames stream, ask for more at once.
    if (r.full && !was_bulk && !bulk_) ahead_ = std::min(2 * ahead_, chunk_size);
  }
  polling_ = false;
  p.partial = arrived && (bulk_ || begin_ != end_);
  p.error = error_;
  if (error_) drop();
  return p;
}

/// Nothing large is under way: all of it goes to the buffer.
inline stream_rx::received stream_rx::receive_ahead(backend::byte_stream& stream) {
  const std::span<std::byte> into = room(missing_ + ahead_);
  const ::iovec piece{into.data(), into.size()};
  const auto moved = stream.recv({&piece, 1});
  if (moved.error) error_ = moved.error;
  end_ += moved.bytes;
  return {moved.bytes, moved.bytes == into.size()};
}

/// Up to that much space behind the buffered bytes, which are fewer than a whole small frame.
inline std::span<std::byte> stream_rx::room(std::size_t wanted) noexcept {
  if (begin_ == end_) begin_ = end_ = 0;  // reuse what is in the cache
  if (chunk_size - end_ < wanted && begin_ > 0) {
    std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return {buffer_ + end_, std::min(wanted, chunk_size - end_)};
}

}  // namespace kfx::wire
