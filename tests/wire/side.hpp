// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// One end of a link under test: sends frames, and checks every byte of what the other end sent.

#include <sys/mman.h>

#include <deque>
#include <map>
#include <memory>

#include "frames.hpp"
#include "tests/base/seed.hpp"
#include "wire/stream_link.hpp"

namespace kfx_test {

/// Pages that can be made untouchable.
class guarded {
 public:
  explicit guarded(std::size_t size);
  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;
  ~guarded() { ::munmap(data_, size_); }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  void forbid() { ::mprotect(data_, size_, PROT_NONE); }

 private:
  std::size_t size_;
  std::byte* data_;
};

/// Memory that was lent: fragments with gaps between them.
struct lent {
  std::unique_ptr<guarded> memory;
  std::vector<kfx::mutable_buffer> fragments;

  /// About `count` fragments of random sizes with `size` bytes in all; the gaps hold `gap`.
  lent(rng&, std::size_t size, std::size_t count);
  bool gaps_intact() const;
  std::size_t capacity() const;
  static constexpr std::byte gap{0xee};
};

class side final : public kfx::backend::frame_sink {
 public:
  side(std::unique_ptr<kfx::backend::byte_stream> stream, rng& r) : link(std::move(stream)), random_(r) {}

  // Sending. Each answers whether it was taken.
  bool commit_some();
  bool post_one();
  bool send(const recipe&, std::size_t fragments);
  /// Quiesces one body that is under way, at once makes its memory useless.
  void quiesce_one();
  /// Withdraws the landing, if there is one, and makes it untouchable.
  void divert();
  /// One random step of all the above, and of flush and poll.
  void step();
  void move(unsigned budget);

  bool idle() const { return lent_out_.empty() && expected_.empty(); }
  std::size_t expected() const { return expected_.size(); }

  bool on_frame(kfx::const_buffer head, kfx::const_buffer body) override;
  std::span<const kfx::mutable_buffer> on_bulk(kfx::const_buffer head, std::size_t body) override;
  bool on_bulk_done() override;
  void on_sent(kfx::backend::cookie) override;
  void on_quiet(kfx::backend::cookie) override;
  void on_direct(kfx::backend::cookie, std::error_code) override;

  kfx::wire::stream_link link;
  side* peer = nullptr;
  bool short_landings = true;
  std::size_t bulk_count = 0;
  std::size_t sent_count = 0;
  std::size_t quiesced = 0;
  std::size_t diverted = 0;

 private:
  recipe next_recipe(std::size_t most);
  void check_head(kfx::const_buffer head, std::size_t body);
  void ruin(lent&);

  rng& random_;
  std::uint64_t next_id_ = 1;
  std::map<kfx::backend::cookie, lent> lent_out_;
  std::deque<recipe> expected_;
  std::unique_ptr<lent> landing_;
  bool landing_gone_ = false;
};

/// Moves both ways until everything arrived; fails when it takes too long.
void drain(side& a, side& b);

}  // namespace kfx_test
