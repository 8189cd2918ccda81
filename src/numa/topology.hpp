// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The machine as placement sees it: NUMA nodes, their cores, and what devices are near them. Plain data, read by
/// hwloc; without hwloc, one node that has every CPU.

#include <string>
#include <string_view>
#include <vector>

#include "kfx/error.hpp"

namespace kfx::numa {

/// CPUs by the system's numbers, ascending.
using cpu_list = std::vector<int>;

struct memory_node {
  int number = 0;
  std::vector<cpu_list> cores;  ///< each with its hardware threads; empty: memory without CPUs
  cpu_list cpus() const;
};

struct device {
  std::string name;  ///< the system's: "eth0", "mlx5_0"
  int node = -1;     ///< -1: as near to one as to another
};

struct topology {
  std::vector<memory_node> nodes;  ///< ascending; each CPU belongs to one
  std::vector<device> devices;

  const memory_node* find(int number) const noexcept;
  int node_of_cpu(int cpu) const noexcept;  ///< -1: it is not known
  const device* find(std::string_view name) const noexcept;
};

/// This machine. Read once; any thread.
const topology& machine();
/// The CPUs that this thread may use.
cpu_list own_cpus();
/// Keeps this thread on these. False: the system did not let it.
bool pin_thread(const cpu_list& cpus) noexcept;

/// Others, for tests: hwloc's one-line description ("node:2 core:2 pu:1"), or an XML file written by lstopo.
/// Errors: not_supported (no hwloc), bad_option.
result<topology> synthetic(const std::string& description);
result<topology> from_xml(const std::string& path);

/// "0-3,8": as the system writes them.
std::string to_string(const cpu_list& cpus);

}  // namespace kfx::numa
