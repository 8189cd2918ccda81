// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a node counts of the tests it serves and runs.

#include <atomic>

#include "messages.hpp"

namespace lnet::selftest {

class counter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// See node_statistics. Those of the serving side and of the asking one lie apart.
struct node_counters {
  alignas(64) counter rpcs_received;
  counter dropped, bytes_in_served, bytes_out_served;
  alignas(64) counter rpcs_sent;
  counter rpcs_completed, expired, errors, ping_errors, brw_errors, bytes_in_asked, bytes_out_asked;

  node_statistics read() const noexcept {
    node_statistics s;
    s.rpcs_sent = rpcs_sent.get();
    s.rpcs_completed = rpcs_completed.get();
    s.rpcs_received = rpcs_received.get();
    s.dropped = dropped.get();
    s.expired = expired.get();
    s.errors = errors.get();
    s.ping_errors = ping_errors.get();
    s.brw_errors = brw_errors.get();
    s.bytes_sent = bytes_out_served.get() + bytes_out_asked.get();
    s.bytes_received = bytes_in_served.get() + bytes_in_asked.get();
    return s;
  }
};

}  // namespace lnet::selftest
