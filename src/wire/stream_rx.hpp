// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The receiving half of the framer: small frames are handed over in the receive buffer, large bodies are received
/// straight into where the engine wants them.

#include <cstdint>

#include "kfx/backend/byte_stream.hpp"
#include "kfx/backend/link.hpp"
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

  bool empty() noexcept {
    missing_ = 0;
    return begin_ == end_ && !bulk_;
  }
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

}  // namespace kfx::wire
