// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link as RDMA would make it, without the hardware and with worse manners: one-sided operations are carried out
/// at random later times, completions do not mean that bytes are placed, frames overtake puts, keys are random,
/// and memory comes back from `quiesce` late.

#include <deque>
#include <random>
#include <unordered_map>

#include "kfx/backend/link.hpp"
#include "support/sim_memory.hpp"
#include "support/wakeable.hpp"

namespace kfx::test {

class sim_link final : public backend::link {
 public:
  /// `frames` carries the frames. `cut_after`: dies after so many frames and puts on the average; 0: never.
  sim_link(std::unique_ptr<backend::link> frames, std::shared_ptr<sim_fabric>, unsigned end, std::uint64_t seed,
           unsigned cut_after, std::string address);
  ~sim_link() override { close(); }

  const backend::link_caps& caps() const noexcept override { return caps_; }
  std::span<std::byte> reserve(std::size_t at_least) override;
  void commit(std::size_t bytes) override;
  bool post(const_buffer head, std::span<const const_buffer> body, backend::cookie) override;
  std::error_code flush(backend::frame_sink&) override;
  polled poll(backend::frame_sink&, unsigned budget) override;
  bool quiesce(backend::cookie) override;
  void divert() override { frames_->divert(); }
  backend::remote_memory* direct() noexcept override { return &memory_; }
  backend::wait_handle arm() override;
  void close() override;
  std::string peer_address() const override { return control_->address; }
  std::string describe() const override { return "sim " + control_->address; }

 private:
  /// Keeps count of the bodies that the frames' link still has.
  class filter final : public backend::frame_sink {
   public:
    explicit filter(sim_link& owner) : owner_(owner) {}
    bool on_frame(const_buffer head, const_buffer body) override { return to->on_frame(head, body); }
    std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t size) override {
      return to->on_bulk(head, size);
    }
    bool on_bulk_done() override { return to->on_bulk_done(); }
    void on_sent(backend::cookie) override;
    void on_quiet(backend::cookie c) override { to->on_quiet(c); }
    void on_direct(backend::cookie c, std::error_code e) override { to->on_direct(c, e); }
    backend::frame_sink* to = nullptr;

   private:
    sim_link& owner_;
  };
  /// A quiesce that answered false.
  struct waiting {
    backend::cookie id;
    unsigned turns;  ///< at least so many polls and flushes more
    std::chrono::steady_clock::time_point by;
  };

  bool must_die();
  std::error_code die(backend::frame_sink&);
  /// Lets time pass and reports what ended.
  void pass_time(backend::frame_sink&);

  const std::unique_ptr<backend::link> frames_;
  backend::link_caps caps_;
  sim_memory memory_;
  std::mt19937_64 random_;
  const std::shared_ptr<wakeable> control_;
  filter filter_{*this};
  std::unordered_map<backend::cookie, unsigned> posted_;
  std::deque<waiting> waiting_;
  std::int64_t fuse_ = -1;  ///< frames until the cut; -1: none
  unsigned hold_ = 0;
  bool failed_ = false;  ///< the frames' link died
  bool dead_ = false;
  bool closed_ = false;
};

}  // namespace kfx::test
