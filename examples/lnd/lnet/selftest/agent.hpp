// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What consoles ask of a node: to be of their session, and to run tests.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "counters.hpp"
#include "endpoint.hpp"
#include "operation.hpp"
#include "test_run.hpp"

namespace lnet::selftest {

class agent {
 public:
  agent(endpoint&, node_counters&);
  ~agent();

  /// The answer to one request, head and all; nothing when there is to be none. Any thread.
  std::vector<std::byte> answer(const process_id& from, std::span<const std::byte> request);
  session_info session() const;

 private:
  class job;

  void arrived(const process_id& from, std::span<const std::byte>);
  void done(job&) noexcept;
  // Under the lock.
  std::vector<std::byte> decide(const parsed&);
  int admit(const head&);
  std::vector<std::byte> join(const parsed&);
  int leave(const parsed&);
  int add_test(const parsed&);
  int run_batch(const parsed&);
  int stop_batch(const parsed&);
  std::vector<std::byte> query(const parsed&);
  node_statistics statistics();
  session_info info() const;
  void end_session() noexcept;
  void tick(clock::time_point);

  endpoint& endpoint_;
  node_counters& counters_;
  const clock::time_point started_ = clock::now();
  mutable std::mutex mutex_;
  session_id session_;
  std::string name_;
  std::chrono::seconds timeout_{};
  clock::time_point heard_{};
  std::size_t tests_ = 0;
  std::map<std::uint32_t, std::vector<std::unique_ptr<test_run>>> batches_;
  /// Of sessions that ended, until LNet has let go of their memory.
  std::vector<std::unique_ptr<test_run>> leftovers_;

  std::mutex jobs_mutex_;
  std::vector<std::unique_ptr<job>> jobs_;
  std::vector<job*> idle_;
  request_portal portal_;
};

}  // namespace lnet::selftest
