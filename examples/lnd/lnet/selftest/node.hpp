// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A selftest node: serves tests, and runs what the console of its session says.

#include <memory>

#include "agent.hpp"
#include "service.hpp"

namespace lnet::selftest {

struct node_options {
  unsigned threads = 0;  ///< for what is not done on LNet's own threads; 0: one for each CPU, 2 at least
  service_options service;
};

class node {
 public:
  /// Throws std::system_error. The host is the node's: it ends with it.
  explicit node(std::unique_ptr<host>, node_options = {});
  ~node();
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  host& lnet() noexcept { return endpoint_.lnet(); }
  selftest::endpoint& endpoint() noexcept { return endpoint_; }
  node_statistics statistics() const { return counters_.read(); }
  session_info session() const { return agent_->session(); }
  /// What is to be freed only after no event can come any more. Throws std::bad_alloc.
  void keep(std::shared_ptr<void> thing) { kept_.push_back(std::move(thing)); }

 private:
  selftest::endpoint endpoint_;
  node_counters counters_;
  std::unique_ptr<service> service_;
  std::unique_ptr<agent> agent_;
  std::vector<std::shared_ptr<void>> kept_;
};

}  // namespace lnet::selftest
