// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a client does in a test: towards each of its servers `concurrency` RPCs at a time, each loop as often as it
/// was told or until it is stopped. What fails is counted, and after a short while the next one is tried.

#include <atomic>
#include <memory>
#include <vector>

#include "counters.hpp"
#include "endpoint.hpp"
#include "messages.hpp"

namespace lnet::selftest {

class test_run {
 public:
  /// Throws std::bad_alloc: all memory is had now.
  test_run(endpoint&, node_counters&, test_request);
  /// Not before it is idle, unless the endpoint is shut down.
  ~test_run();

  const test_request& what() const noexcept { return what_; }
  /// From the beginning. False: it runs.
  bool start(const session_id&);
  /// What is under way comes to its end.
  void stop() noexcept;
  bool running() const noexcept { return active_.load() != 0; }
  bool idle() noexcept;
  test_result result() const;

 private:
  class loop;
  void one_ended() noexcept;

  endpoint& endpoint_;
  node_counters& counters_;
  const test_request what_;
  session_id session_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> active_{0};
  std::atomic<clock::time_point> started_{}, ended_{};
  std::vector<std::unique_ptr<loop>> loops_;
};

}  // namespace lnet::selftest
