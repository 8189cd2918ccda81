// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The initiator's side of simulated RDMA: operations that wait for their random moment.

#include <chrono>
#include <deque>
#include <random>

#include "base/completions.hpp"
#include "kfx/backend/remote_memory.hpp"
#include "support/sim_fabric.hpp"

namespace kfx::test {

class sim_memory final : public backend::remote_memory {
 public:
  static constexpr std::chrono::milliseconds quiesce_bound{50};

  sim_memory(std::shared_ptr<sim_fabric> fabric, unsigned end, std::uint64_t seed)
      : fabric_(std::move(fabric)), own_(end), peer_(1 - end), random_(seed) {}

  const backend::memory_caps& caps() const noexcept override { return caps_; }
  result<backend::direct_key> share(std::span<const mutable_buffer> memory, access rights, backend::sharing) override;
  void withdraw(backend::direct_key key) override { fabric_->withdraw(own_, key); }
  backend::started put(backend::direct_key, std::uint64_t offset, std::span<const const_buffer> from,
                       backend::cookie) override;
  backend::started get(backend::direct_key, std::uint64_t offset, std::span<const mutable_buffer> into,
                       backend::cookie) override;
  bool flush(backend::cookie) override;

  // For the link.

  /// Lets some time pass for what is under way.
  void advance();
  /// True: nothing of this cookie touches lent memory any more. False: `quiet` says when.
  bool quiesce(backend::cookie);
  bool quiet(backend::cookie) const;
  loopback::completions& ended() noexcept { return ended_; }
  /// Whether another `advance` would change something.
  bool busy() { return !ops_.empty() || !ended_.empty() || (!abandoned_ && fabric_->on_the_way(peer_)); }
  /// The initiator's part of closing: lent memory is not touched any more, what was put may still arrive.
  void abandon();
  /// Both parts: nobody touches the memory shared here any more.
  void close();

 private:
  enum class kind { put, get, flush, nothing };
  struct op {
    sim_memory::kind what;
    backend::direct_key key = 0;
    std::uint64_t offset = 0;
    std::vector<const_buffer> from{};
    std::vector<mutable_buffer> into{};
    backend::cookie id = 0;
    unsigned delay = 0;                                 ///< calls of `advance` it waits at the head of the queue
    bool silent = false;                                ///< quiesced: no completion
    bool lent = true;                                   ///< its memory is still in use
    std::vector<std::byte> aside{};                     ///< the source, once it was read
    std::chrono::steady_clock::time_point give_back{};  ///< by when it must be quiet
  };

  static constexpr backend::memory_caps caps_{8, 8, 1u << 20, false, true};

  bool start(op, std::size_t fragments, std::size_t bytes);
  void carry_out(op&);
  void give_back(op&);

  const std::shared_ptr<sim_fabric> fabric_;
  const unsigned own_;
  const unsigned peer_;
  std::mt19937_64 random_;
  std::deque<op> ops_;  ///< in the order they take effect
  loopback::completions ended_;
  bool abandoned_ = false;
};

}  // namespace kfx::test
