// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The one link over rings in mapped memory, whoever maps it.

#include <array>
#include <memory>
#include <vector>

#include "base/completions.hpp"
#include "base/cursor.hpp"
#include "kfx/backend/link.hpp"
#include "kfx/backend/ring_pair.hpp"
#include "wire/frame.hpp"
#include "wire/line_ring.hpp"
#include "wire/ring_words.hpp"

namespace kfx::wire {

/// Frames are built in the ring, a burst in a chunk. Bodies that are posted are copied into it: at once when the frame
/// is small, else piece by piece as the peer makes room, and only bodies are taken meanwhile.
class ring_link final : public backend::link {
 public:
  explicit ring_link(std::unique_ptr<backend::ring_pair>);
  ~ring_link() override { close(); }

  const backend::link_caps& caps() const noexcept override { return caps_; }
  std::span<std::byte> reserve(std::size_t at_least) override;
  void commit(std::size_t bytes) override;
  bool post(const_buffer head, std::span<const const_buffer> body, backend::cookie) override;
  std::error_code flush(backend::frame_sink&) override;
  polled poll(backend::frame_sink&, unsigned budget) override;
  bool waiting() const noexcept override { return !closed_ && !reader_.empty(); }
  bool quiesce(backend::cookie) override;
  void divert() override { landing_ = {}; }
  backend::remote_memory* direct() noexcept override {
    memory_used_ = true;
    return memory_;
  }
  backend::wait_handle arm() override;
  void close() override;
  std::string peer_address() const override { return pair_->peer_address(); }
  std::string describe() const override { return pair_->describe(); }

 private:
  /// A frame whose body is lent until it is in the ring.
  struct outgoing {
    backend::cookie id = 0;
    std::array<std::byte, max_head> head;
    std::size_t head_size = 0;  ///< 0: published
    std::vector<const_buffer> list;
    base::cursor<const_buffer> from;
    std::size_t left = 0;
    std::unique_ptr<std::byte[]> aside;  ///< of what was left when the memory was wanted back
    const_buffer aside_bytes;
    bool silent = false;
  };
  static constexpr std::size_t max_bodies = 8;

  bool post_copied(const_buffer head, std::span<const const_buffer> body, std::size_t bytes, backend::cookie);
  bool post_lent(const_buffer head, std::span<const const_buffer> body, std::size_t bytes, backend::cookie);
  void push_bodies();
  bool push_body(outgoing&);
  std::span<std::byte> room_for_body(std::size_t bytes) noexcept;
  bool set_aside(outgoing&);
  bool has_room();
  void publish(chunk_kind, std::size_t bytes) noexcept;
  void ring_bell() noexcept;
  void wake_who_wants(std::uint32_t what) noexcept;
  void peer_ended() noexcept;
  void report_memory(backend::frame_sink&);
  bool poll_prelude(backend::frame_sink&, polled&);

  /// One step of receiving; false ends the poll.
  bool step(backend::frame_sink&, polled&);
  void pop() noexcept { gave_back_ |= reader_.pop(); }
  bool take_frame(backend::frame_sink&, polled&);
  bool begin_bulk(backend::frame_sink&, polled&, const wire::head&, const_buffer head_bytes);
  bool take_piece(backend::frame_sink&, polled&);
  bool die(polled&, std::error_code);

  const std::unique_ptr<backend::ring_pair> pair_;
  backend::ring_memory* const memory_;  ///< the pair's, or null
  bool memory_used_ = false;            ///< something may have ended there that was not reported
  backend::link_caps caps_;
  basic_ring_writer<ring_words> writer_;
  basic_ring_reader<ring_words> reader_;
  std::uint32_t* const own_wants_;
  std::uint32_t* const peer_wants_;
  const bool sleeper_fences_;

  // Sending.
  std::array<outgoing, max_bodies> bodies_;
  std::uint64_t lent_ = 0;      ///< bodies lent so far
  std::uint64_t returned_ = 0;  ///< of them, those that are in the ring
  base::completions sent_;
  std::size_t body_needs_ = 0;  ///< bytes of ring that the first of them waits for
  std::size_t starved_ = 0;     ///< bytes that `reserve` was last asked for in vain
  bool refused_ = false;        ///< a body was, and was not told otherwise since
  bool unrung_ = false;         ///< something was published since the peer's bell was last rung

  // Receiving.
  const_buffer chunk_{};  ///< of the ring's front, what was not handed over yet
  chunk_kind kind_{};
  std::size_t bulk_left_ = 0;  ///< of the body under way
  base::cursor<mutable_buffer> landing_{};
  std::size_t piece_left_ = 0;  ///< bytes this poll may still copy
  bool gave_back_ = false;      ///< room was told of in this poll
  unsigned empty_polls_ = 0;    ///< since the peer was last asked after
  bool peer_gone_ = false;

  bool armed_ = false;
  bool closed_ = false;
  std::error_code error_{};  ///< why the link is dead, once it is
};

}  // namespace kfx::wire
