// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The measuring side of `kfx perf`.

#include <atomic>
#include <functional>
#include <kfx/kfx.hpp>
#include <memory>
#include <semaphore>
#include <string>

#include "histogram.hpp"
#include "perf_memory.hpp"
#include "perf_protocol.hpp"

namespace tool::perf {

struct client_options {
  std::string uri;
  kfx::progress progress = kfx::progress::caller;
  memory local = memory::allocated;
  memory remote = memory::allocated;
  std::uint64_t footprint = 0;  ///< bytes that each side goes through; 0: a place for each op under way
  double timeout = 10;          ///< seconds without progress before it gives up
};

struct test_case {
  perf::test test = test::send;
  std::uint64_t size = 8;
  unsigned depth = 1;
  std::uint64_t header = 8;   ///< of a message
  std::uint64_t payload = 0;  ///< of a message
};

/// How long: so many ops, or so many seconds when that is 0; preceded by a warm-up that does not count.
struct effort {
  std::uint64_t count = 0;
  double seconds = 1;
  std::uint64_t warm_up_count = 0;
  double warm_up_seconds = 0.1;
};

/// What one test found. Times are in ticks; one-way tests hold whole round trips, of which `per_op` go into one.
struct outcome {
  test_case what;
  std::uint64_t ops = 0;
  double seconds = 0;
  unsigned per_op = 1;
  histogram latency;
  long preempted = 0;         ///< times that another program took the CPU from this one
  std::uint64_t sampled = 1;  ///< one op in so many has its time in `latency`

  double rate() const { return seconds > 0 ? static_cast<double>(ops) / seconds : 0; }  ///< ops a second
  double bandwidth() const { return rate() * static_cast<double>(what.size); }          ///< bytes a second
  double mean_ns() const;                                                               ///< one op
  double quantile_ns(double fraction) const;
};

const char* name_of(test) noexcept;
/// Sends and writes with one op at a time whose figure is half a round trip.
bool one_way(test) noexcept;

class client {
 public:
  /// Connects and agrees with the server. `largest` and `deepest` of all tests to come. Throws std::exception.
  client(const client_options&, std::uint64_t largest, unsigned deepest);
  /// Throws std::runtime_error when the server goes away or does something else.
  outcome run(const test_case&, const effort&);
  void bye();
  std::string transport() const { return peer_.explain(); }

 private:
  struct stop_rule {
    std::uint64_t count;
    std::uint64_t until;  ///< ticks
    bool reached(std::uint64_t n, std::uint64_t now) const { return n >= count || now >= until; }
  };

  answer tell(const order&);
  std::uint64_t places_for(const test_case&) const;
  outcome measure(const test_case&, stop_rule);
  outcome back_and_forth(const test_case&, stop_rule);
  template <class Start>
  outcome pipeline(const test_case&, stop_rule, Start start);
  void ping();
  void returned();
  void wait_for_returns();
  void watch_word();
  void check_alive();
  std::string gone() const;
  std::byte* place(std::uint64_t i) { return memory_->span().data() + i % places_ * now_.size; }

  client_options options_;
  test_case now_;
  std::uint64_t places_ = 1;
  std::vector<std::byte> header_;
  kfx::remote_region remote_;
  receiver receiver_;
  // of the round trips under way
  outcome result_;
  stop_rule rule_{};
  std::uint64_t last_ = 0;
  std::uint64_t sequence_ = 0;  ///< of the words written, never the same twice
  kfx::op<kfx::done> word_write_;
  std::uint64_t seen_ = 0;
  kfx::clock::time_point seen_at_;
  std::atomic<std::uint64_t> returns_{0};
  std::atomic<bool> over_{true}, lost_{false};
  std::binary_semaphore finished_{0};

  kfx::node node_;
  kfx::peer peer_;
  std::unique_ptr<shared_memory> memory_;
};

}  // namespace tool::perf
