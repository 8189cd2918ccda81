// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// CPU partitions (CPTs), as libcfs has them: sets of CPUs between which work is divided.

#include <string>
#include <string_view>
#include <vector>

#include "nid.hpp"

namespace lnet {

/// What this machine has, for tests to say otherwise. CPUs by their numbers, NUMA nodes by theirs.
struct cpu_topology {
  std::vector<unsigned> cpus;                        ///< this process may run on
  std::vector<std::vector<unsigned>> numa_nodes;     ///< CPUs of each
  std::vector<std::vector<unsigned>> cores;          ///< CPUs of each core (hardware threads), by node
  /// From the affinity mask and /sys; one NUMA node where there is no telling.
  static cpu_topology of_this_machine();
};

class cpt_table {
 public:
  /// One partition of all CPUs.
  cpt_table() = default;
  /// `pattern` in the syntax of Lustre's cpu_pattern ("0[0-3] 1[4,5,7]", "N 0[0,1] 1[2,3]", "N", and behind any of
  /// them "C[0-1]" and "X[..]"); with an empty one `partitions` equal parts, 0 being one. False: `why` says what is
  /// wrong: CPUs that are not there or in two partitions, numbers that are not 0, 1, 2, …, more parts than CPUs.
  static bool make(const cpu_topology&, unsigned partitions, std::string_view pattern, cpt_table& out, std::string& why);

  unsigned count() const noexcept { return static_cast<unsigned>(sets_.empty() ? 1 : sets_.size()); }
  const std::vector<unsigned>& cpus(unsigned cpt) const { return sets_.at(cpt); }
  /// The same for every node: which of `among` (all, when it is empty) sees to that peer.
  unsigned of_nid(nid, const std::vector<unsigned>& among) const noexcept;

 private:
  std::vector<std::vector<unsigned>> sets_;
};

}  // namespace lnet
