// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a node's options come to on this machine: its partitions, and who and what goes where.

#include <string>
#include <string_view>
#include <vector>

#include "kfx/options.hpp"
#include "numa/topology.hpp"

namespace kfx::numa {

/// The place of a partition.
struct place {
  cpu_list cpus;       ///< never empty, none of them outside the mask
  int node = -1;       ///< the NUMA node of all of them, or -1
  bool pinned = true;  ///< engine threads stay there
};

struct plan {
  std::vector<place> partitions;
  int wanted_node = -1;      ///< buffers and peers go there, when it is not negative
  bool place_memory = true;  ///< else the system decides
  std::string why;           ///< one line for people

  /// The index of a peer's home: the same for the same identity, near to the device that carries it where that is
  /// known (else -1).
  std::size_t home_of(std::string_view identity, int device_node) const noexcept;
  /// The node for a buffer that a thread on this CPU allocates, or -1.
  int buffer_node(const topology& t, int cpu) const noexcept;
};

/// Throws kfx::error (bad_option) with a sentence about what in `options::partitions` or `placement` cannot be had.
plan make_plan(const kfx::options& o, const topology& t, const cpu_list& mask);

/// The NUMA node of what carries a network interface; of the devices below it when it is a bond, a bridge or a VLAN
/// and they agree. -1: unknown. `interfaces`: the system's list of them.
int node_of_interface(const topology& t, const std::string& name, const std::string& interfaces = "/sys/class/net");

}  // namespace kfx::numa
