// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The sending half of the framer: what is committed is staged, what is posted is lent, and both leave in order.

#include <array>
#include <cstdint>

#include "kfx/backend/byte_stream.hpp"
#include "kfx/backend/link.hpp"
#include "wire/chunk_pool.hpp"
#include "wire/fifo.hpp"

namespace kfx::wire {

/// Bytes are counted from the start of the stream: what is known about a body is at which count it begins and ends,
/// and one counter of sent bytes tells which bodies and chunks are free again. The functions are those of
/// backend::link.
class stream_tx {
 public:
  /// Back-pressure, so that the engine keeps control of order and cancellation: with this many bytes waiting (or
  /// bodies, or pieces) no further body is taken. A body is taken whenever nothing waits.
  static constexpr std::size_t max_waiting = 1u << 20;
  static constexpr std::size_t max_bodies = 64;
  static constexpr std::size_t max_pieces = 1024;
  static constexpr std::size_t max_chunks = 4;
  /// Fragments up to this size are copied: cheaper than what the kernel does for one more piece, and a call takes
  /// only 64 pieces.
  static constexpr std::size_t copy_limit = 512;

  stream_tx() = default;
  stream_tx(const stream_tx&) = delete;
  stream_tx& operator=(const stream_tx&) = delete;
  ~stream_tx() { close(); }

  std::span<std::byte> reserve(std::size_t at_least) noexcept;
  void commit(std::size_t bytes) noexcept;
  bool post(const_buffer head, std::span<const const_buffer> body, backend::cookie) noexcept;
  std::error_code flush(backend::byte_stream& stream, backend::frame_sink& sink) {
    if (!pieces_.empty()) send(stream, sink);
    return error_;
  }
  /// False: there is no memory for the copy, and the stream can only be closed.
  bool quiesce(backend::cookie) noexcept;

  /// Bytes wait to be sent.
  bool pending() noexcept { return !pieces_.empty(); }
  /// Whether anything was refused since the last call: who waits for room must hear of it even if nothing is queued.
  bool take_refused() noexcept { return std::exchange(refused_, false); }
  /// While nobody uses the link: gives up the window that was reserved, and memory that only speeds things up.
  void rest() noexcept;
  /// Forgets everything; nothing that was lent is referenced any more.
  void close() noexcept;

 private:
  struct body {
    backend::cookie cookie;
    std::uint64_t begin;  ///< stream positions
    std::uint64_t end;
    void* copy;  ///< of the unsent rest, when it was quiesced
    bool quiet;  ///< quiesced: `on_sent` is not wanted
  };
  struct stage {
    std::byte* chunk;
    std::size_t used;
    std::uint64_t end;  ///< stream position after its last byte
  };

  bool stage_room(std::size_t bytes) noexcept;
  void stage_piece(std::byte* at, std::size_t bytes) noexcept;
  void stage_copy(const_buffer bytes) noexcept;
  void lend(const_buffer fragment) noexcept;
  void send(backend::byte_stream&, backend::frame_sink&);
  void consume(std::size_t bytes, backend::frame_sink&);
  void release_stages(std::size_t needed) noexcept;
  bool staged(const void* p) const noexcept;
  bool detach(body&) noexcept;
  template <class F>
  void each_lent_piece(const body&, F) noexcept;

  fifo<::iovec> pieces_;  ///< unsent bytes, in order
  fifo<body> bodies_;     ///< posted and not reported
  std::array<stage, max_chunks> stages_{};
  std::size_t stage_count_ = 0;
  std::byte* staged_end_ = nullptr;  ///< where the last piece ends, if it is a staged one that may grow
  std::uint64_t sent_ = 0;
  std::uint64_t queued_ = 0;
  bool refused_ = false;
  bool window_ = false;  ///< lent by reserve and not committed
  std::error_code error_;
};

}  // namespace kfx::wire
