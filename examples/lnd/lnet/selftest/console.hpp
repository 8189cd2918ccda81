// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Runs commands: has a session, the nodes in it by groups, and batches of tests that the nodes run.

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "asker.hpp"
#include "commands.hpp"
#include "figures.hpp"
#include "output.hpp"

namespace lnet::selftest {

class console {
 public:
  /// Asks through the node, which outlives it.
  console(node&, output);
  /// Ends the session.
  ~console();
  console(const console&) = delete;
  console& operator=(const console&) = delete;

  /// False: `why` says what failed.
  bool run(const command&, std::string& why);
  /// What every test of the session has done so far.
  void summary();
  /// Ends a `stat`, `sleep` or `wait` that goes on. From any thread, also when nothing does: then the next one.
  void interrupt() noexcept;
  /// Was it meant for more than a `stat`?
  bool interrupted() const noexcept { return interrupts_.load() != 0; }

  // One for each command.
  bool run_one(const cmd::new_session&, std::string& why);
  bool run_one(const cmd::end_session&, std::string& why);
  bool run_one(const cmd::show_session&, std::string& why);
  bool run_one(const cmd::add_group&, std::string& why);
  bool run_one(const cmd::del_group&, std::string& why);
  bool run_one(const cmd::list_group&, std::string& why);
  bool run_one(const cmd::ping&, std::string& why);
  bool run_one(const cmd::add_batch&, std::string& why);
  bool run_one(const cmd::add_test&, std::string& why);
  bool run_one(const cmd::run&, std::string& why);
  bool run_one(const cmd::stop&, std::string& why);
  bool run_one(const cmd::wait&, std::string& why);
  bool run_one(const cmd::list_batch&, std::string& why);
  bool run_one(const cmd::query&, std::string& why);
  bool run_one(const cmd::stat&, std::string& why);
  bool run_one(const cmd::show_error&, std::string& why);
  bool run_one(const cmd::sleep&, std::string& why);

 private:
  struct test {
    std::uint32_t id = 0;
    cmd::add_test what;
    std::vector<nid> clients;
    std::size_t pairs = 0;
  };
  struct batch {
    std::uint32_t id = 0;
    std::vector<test> tests;
  };
  using outcomes = std::vector<asker::outcome>;

  // Under no lock, on the console's thread.
  bool in_session(std::string& why) const;
  std::vector<nid> nodes_of(const std::string& group) const;
  bool find_groups(const std::vector<std::string>&, std::string& why) const;
  batch* find_batch(const std::string&, std::string& why);
  std::vector<nid> clients_of(const batch&) const;
  static bool all_good(const outcomes&, const char* what, std::string& why);
  bool batch_request(const std::string& name, kind, const char* what, std::string& why);
  bool look(const std::string& name, const batch&, std::vector<test_figures>&, std::string& why);
  void show(const test_figures&);
  std::map<nid, node_statistics> statistics(const std::vector<std::string>& groups);
  bool anything_runs();
  void show_sample(const cmd::stat&, const std::map<nid, node_statistics>& before,
                   const std::map<nid, node_statistics>& after, std::size_t& lines);
  /// False: interrupted.
  bool pause(double seconds);

  // The thread that lets nodes know that the console lives, and takes back those that came anew.
  void keep_alive();
  void look_after(const std::vector<nid>&, std::chrono::milliseconds limit);

  node& node_;
  output out_;
  asker asker_;
  std::map<std::string, std::vector<nid>> groups_;
  std::map<std::string, batch> batches_;
  std::uint32_t next_id_ = 1;

  mutable std::mutex mutex_;  ///< for these, which that thread reads
  session_id session_;
  cmd::new_session session_is_;
  std::set<nid> nodes_;

  std::condition_variable wake_;
  std::atomic<unsigned> interrupts_{0};
  bool end_ = false;
  std::set<nid> lost_;  ///< that thread's: nodes that it has told of
  std::thread keeper_;
};

/// Which servers a client has with --distribute A:B: A clients share B servers, the next A the next B, around.
std::vector<nid> servers_of(std::size_t client, unsigned clients, unsigned servers, const std::vector<nid>& all);
/// "brw read size=4096 check=full"
std::string describe(const cmd::add_test&);

}  // namespace lnet::selftest
