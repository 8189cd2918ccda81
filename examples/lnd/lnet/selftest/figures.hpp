// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Figures of nodes and tests as text: tables for people, objects for programs.

#include <string>
#include <vector>

#include "messages.hpp"

namespace lnet::selftest {

/// Two looks at one node.
struct node_interval {
  nid whom{};
  node_statistics before, after;
  double seconds() const noexcept { return static_cast<double>(after.now_us - before.now_us) / 1e6; }
};

struct spread {
  double average = 0, least = 0, most = 0;
};

/// Of a group's nodes in the same interval.
struct group_figures {
  std::string group;
  std::size_t nodes = 0, silent = 0;  ///< so many did not answer
  double seconds = 0;
  spread rpcs_in, rpcs_out;    ///< per second: served; asked
  spread bytes_in, bytes_out;  ///< per second
  node_statistics sum;         ///< of the interval, over the nodes
};
group_figures figures_of(std::string group, const std::vector<node_interval>&, std::size_t silent);

struct table_style {
  bool bandwidth = true, rate = true, megabytes = false;
};
std::string table(const group_figures&, const table_style&);
std::string json(const group_figures&);

/// A test over all its clients.
struct test_figures {
  std::string batch;
  std::uint32_t test = 0;
  std::string what;  ///< "brw read size=1048576 check=full"
  std::size_t clients = 0;
  test_result sum;  ///< elapsed: the longest
  double rpcs_per_s() const noexcept;
  double mib_per_s() const noexcept;
};
std::string line(const test_figures&);
std::string json(const test_figures&);

}  // namespace lnet::selftest
