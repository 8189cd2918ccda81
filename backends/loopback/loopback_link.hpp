// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link between two nodes of one process: a ring of bytes each way, and large bodies by reference.

#include <array>
#include <mutex>
#include <vector>

#include "backends/loopback/byte_ring.hpp"
#include "backends/loopback/doorbell.hpp"
#include "backends/loopback/loopback_memory.hpp"
#include "base/completions.hpp"
#include "base/cursor.hpp"
#include "kfx/backend/link.hpp"

namespace kfx::loopback {

/// A body that stays in the sender's memory until the receiver has copied it. `lock` excludes the receiver's copy
/// of one piece and the sender's taking the memory back; the receiver never holds it for more than a piece.
struct lent_body {
  std::mutex lock;
  std::vector<const_buffer> list;      ///< the sender's spans
  cursor<const_buffer> from;           ///< what is left of them, or of `aside`
  std::unique_ptr<std::byte[]> aside;  ///< what was left when the sender took its memory back
  const_buffer aside_bytes;
  std::size_t size = 0;
  std::size_t taken = 0;
  bool withdrawn = false;             ///< nothing more may be copied
  std::atomic<bool> released{false};  ///< by the receiver: its last copy happened before
  // Sender only.
  backend::cookie id = 0;
  bool silent = false;  ///< quiet already: no `on_sent`
};

/// One direction. Bodies are taken in the order they were lent, so both ends count through the slots.
struct half_link {
  static constexpr std::size_t slots = 32;
  byte_ring ring;
  std::array<lent_body, slots> lent;
};

/// What the two ends have in common; it lives until both are gone.
struct link_pair {
  half_link ways[2];  ///< ways[i]: from end i
  struct end {
    doorbell bell;
    std::atomic<bool> closed{false};
    export_table exports;
  } ends[2];
  std::string name;
  std::uint64_t number = 0;  ///< tells it from others of that name
  bool direct = true;

  bool ok() const noexcept { return ends[0].bell.ok() && ends[1].bell.ok(); }
};

class loopback_link final : public backend::link {
 public:
  /// End 0 connected, end 1 accepted.
  loopback_link(std::shared_ptr<link_pair>, unsigned end);
  ~loopback_link() override { close(); }

  const backend::link_caps& caps() const noexcept override { return caps_; }
  std::span<std::byte> reserve(std::size_t at_least) override;
  void commit(std::size_t bytes) override;
  bool post(const_buffer head, std::span<const const_buffer> body, backend::cookie) override;
  std::error_code flush(backend::frame_sink&) override;
  polled poll(backend::frame_sink&, unsigned budget) override;
  bool quiesce(backend::cookie) override;
  void divert() override;
  backend::remote_memory* direct() noexcept override { return pair_->direct ? &memory_ : nullptr; }
  backend::wait_handle arm() override;
  void close() override;
  std::string peer_address() const override;
  std::string describe() const override;

 private:
  static constexpr backend::link_caps caps_{8, 64 * 1024, limits::frame, std::chrono::milliseconds(0)};

  bool post_copied(const_buffer head, std::span<const const_buffer> body, std::size_t bytes, backend::cookie);
  bool post_lent(const_buffer head, std::span<const const_buffer> body, std::size_t bytes, backend::cookie);
  void take_back(lent_body&);
  void report(backend::frame_sink&);
  bool awaits_nothing();

  /// One step of receiving; false ends the poll.
  bool step(backend::frame_sink&, polled&);
  bool take_frame(backend::frame_sink&, polled&);
  bool begin_bulk(backend::frame_sink&, polled&);
  bool move_bulk(backend::frame_sink&, polled&);
  bool die(polled&, std::error_code);

  std::shared_ptr<link_pair> pair_;
  const unsigned end_;
  half_link& out_;
  half_link& in_;
  link_pair::end& self_;
  link_pair::end& peer_;
  loopback_memory memory_;

  // Sending.
  completions sent_;
  std::uint64_t lent_ = 0;      ///< bodies lent so far
  std::uint64_t returned_ = 0;  ///< of them, those given back
  std::size_t starved_ = 0;     ///< how many bytes of ring were last asked for in vain
  bool starved_slot_ = false;   ///< a post found all slots taken, and was not told otherwise since
  bool unrung_ = false;         ///< something was published since the peer's bell was last rung

  // Receiving.
  const_buffer chunk_{};     ///< frames of the ring's front not yet handed over
  std::uint64_t taken_ = 0;  ///< lent bodies finished
  bool in_bulk_ = false;
  cursor<mutable_buffer> landing_{};
  std::size_t piece_left_ = 0;  ///< bulk bytes this poll may still copy

  bool armed_ = false;
  bool closed_ = false;
  std::error_code error_{};  ///< why the link is dead, once it is
};

}  // namespace kfx::loopback
