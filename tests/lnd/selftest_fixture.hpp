// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Selftest nodes on a net in memory.

#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "console.hpp"
#include "fake_lnd.hpp"
#include "node.hpp"
#include "script.hpp"
#include "test_run.hpp"

namespace lnd_test {

using namespace lnet;
using namespace lnet::selftest;

/// Node 3 is 10.0.0.3@tcp.
inline nid number(unsigned n) { return {0x0a000000 + n, {kind_tcp, 0}}; }

inline std::unique_ptr<host> make_host(fake_net& net, unsigned n) {
  host_options o;
  o.networks = "tcp(10.0.0." + std::to_string(n) + ")";
  std::vector<driver_ptr> drivers;
  drivers.push_back(net.driver());
  return std::make_unique<host>(o, std::move(drivers));
}
inline std::unique_ptr<node> make_node(fake_net& net, unsigned n, service_options service = {}) {
  return std::make_unique<node>(make_host(net, n), node_options{2, service});
}
/// One that has nothing but the loopback NI.
inline std::unique_ptr<node> make_lone_node(service_options service = {}) {
  return std::make_unique<node>(std::make_unique<host>(host_options{}, std::vector<driver_ptr>{}),
                                node_options{2, service});
}

/// Long enough for what must come.
inline constexpr std::chrono::seconds patience_of_tests{60};

template <class Condition>
bool until(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + patience_of_tests;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A client's part of a test, without a console.
class client {
 public:
  client(node& n, test_request what) : run_(n.endpoint(), counters_, complete(std::move(what))) {}
  ~client() {
    run_.stop();
    (void)until([this] { return !run_.running() && run_.idle(); });
  }
  void start() { REQUIRE(run_.start({})); }
  test_result to_the_end() {
    REQUIRE(until([this] { return !run_.running() && run_.idle(); }));
    return run_.result();
  }
  test_result run() {
    start();
    return to_the_end();
  }
  void stop() { run_.stop(); }
  test_result result() const { return run_.result(); }
  node_statistics counts() const { return counters_.read(); }

 private:
  static test_request complete(test_request t) {
    if (t.servers.empty()) t.servers = {nid::loopback()};
    if (t.rpc_timeout_ms == 0) t.rpc_timeout_ms = 60000;
    return t;
  }
  node_counters counters_;
  test_run run_;
};

inline test_request brw(operation_kind o, check c, std::uint32_t size, std::uint64_t loop,
                        std::uint32_t concurrency = 1) {
  test_request t;
  t.operation = o;
  t.check = c;
  t.size = size;
  t.loop = loop;
  t.concurrency = concurrency;
  return t;
}
inline test_request pings(std::uint64_t loop, std::uint32_t concurrency = 1) {
  return brw(operation_kind::ping, check::none, 0, loop, concurrency);
}

/// A console whose output is kept.
class told_console {
 public:
  explicit told_console(node& n, bool json = true) : console_(std::make_unique<console>(n, make_output(json))) {}

  /// Runs a whole script; the first thing that failed, or nothing.
  std::string run(const std::string& text) {
    std::vector<statement> all;
    std::string why;
    if (!parse_script(text, all, why)) return why;
    for (const statement& s : all) {
      const auto c = parse_command(s.words, why);
      if (!c || !console_->run(*c, why)) return why.empty() ? "no reason" : why;
    }
    return "";
  }
  /// What was written since the last call.
  std::string output() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, "");
  }
  std::string notes() {
    const std::lock_guard lock(mutex_);
    return notes_;
  }
  console& operator*() { return *console_; }

 private:
  selftest::output make_output(bool json) {
    selftest::output o;
    o.json = json;
    o.text = [this](std::string_view t) {
      const std::lock_guard lock(mutex_);
      text_ += t;
    };
    o.notes = [this](std::string_view t) {
      const std::lock_guard lock(mutex_);
      notes_ += t;
    };
    return o;
  }
  std::mutex mutex_;
  std::string text_, notes_;
  std::unique_ptr<console> console_;
};

/// The number behind "name": in the last line of JSON that has it; -1: there is none.
inline double figure(const std::string& json, const std::string& name) {
  const auto at = json.rfind("\"" + name + "\":");
  return at == std::string::npos ? -1 : std::strtod(json.c_str() + at + name.size() + 3, nullptr);
}

inline void check_debts(const fake_net& net) {
  const auto list = net.violations();
  for (const auto& v : list) UNSCOPED_INFO(v);
  CHECK(list.empty());
}

}  // namespace lnd_test
