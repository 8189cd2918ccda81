// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What is measured of crowds.

#include <boost/json.hpp>
#include <chrono>
#include <kfx/kfx.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "child.hpp"

namespace bench::crowd {

struct settings {
  std::vector<std::string> transports{"shm", "tcp"};
  unsigned peers = 1000;
  unsigned storm_peers = 2000;
  unsigned processes = 4;       ///< that the peers are in
  unsigned rounds = 7;          ///< of latency
  double milliseconds = 100;    ///< of each figure of a round
  double seconds = 10;          ///< that idle nodes are looked at
  std::vector<int> cpus{0, 1};  ///< of the two processes whose latency is measured
};

/// One figure, and what it should be at most.
struct figure {
  std::string item;       ///< latency, memory, storm, crowd or idle
  std::string transport;  ///< shm or tcp
  std::string what;
  double value = 0;
  std::optional<double> at_most{};
  boost::json::object more{};  ///< how it came about
  bool met() const noexcept { return !at_most || value <= *at_most; }
};

/// All of them throw std::runtime_error when something fails that should not.
std::vector<figure> latency(const settings&, const std::string& transport, kfx::progress mode);
std::vector<figure> memory(const settings&, const std::string& transport);
std::vector<figure> storm(const settings&, const std::string& transport);
std::vector<figure> idle(const settings&, const std::string& transport, kfx::progress mode);

/// URI to listen at.
std::string listen_uri(const std::string& transport);
/// Descriptors of a process with a node and so many peers.
unsigned long files_of_hub(unsigned peers);
/// Descriptors of a process with so many nodes, each of which has so many connections.
unsigned long files_of_peers(unsigned nodes, unsigned connections);
const char* name_of(kfx::progress) noexcept;

/// Some processes with some nodes each.
class many {
 public:
  many(unsigned nodes, unsigned processes, unsigned connections, std::chrono::milliseconds keepalive);
  struct greeted {
    std::uint64_t failed = 0;
    double seconds = 0;  ///< until the last one was through
    std::string first_failure;
  };
  /// Every node to each of these addresses, all at once (be_peers).
  greeted greet(const std::string& uris, std::size_t bytes = 0);
  /// The same, and throws if one fails.
  void must_greet(const std::string& uris, std::size_t bytes = 0) { must(greet(uris, bytes)); }
  /// The same, one node after another.
  void must_visit(const std::string& uris, std::size_t bytes = 0);

 private:
  static void must(const greeted&);
  void add_answer(greeted&, child&);

  std::vector<std::unique_ptr<child>> processes_;
};

}  // namespace bench::crowd
