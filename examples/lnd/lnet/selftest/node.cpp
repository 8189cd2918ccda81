// SPDX-License-Identifier: BSD-2-Clause
#include "node.hpp"

#include <algorithm>

namespace lnet::selftest {

namespace {

unsigned threads_of(const node_options& o) {
  return o.threads ? o.threads : std::clamp(std::thread::hardware_concurrency(), 2u, 64u);
}

}  // namespace

node::node(std::unique_ptr<host> h, node_options o) : endpoint_(std::move(h), threads_of(o)) {
  try {
    service_ = std::make_unique<service>(endpoint_, counters_, o.service);
    agent_ = std::make_unique<agent>(endpoint_, counters_);
  } catch (...) {
    endpoint_.shut_down();
    throw;
  }
}

// What events and tasks point to goes when there are none.
node::~node() { endpoint_.shut_down(); }

}  // namespace lnet::selftest
