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
  std::vector<unsigned> cpus;                     ///< this process may run on
  std::vector<std::vector<unsigned>> numa_nodes;  ///< CPUs of each
  std::vector<std::vector<unsigned>> cores;       ///< CPUs of each core (hardware threads), those of node 0 first
  /// From the affinity mask and /sys; one NUMA node where there is no telling.
  static cpu_topology of_this_machine();
};

class cpt_table {
 public:
  /// One partition of all CPUs.
  cpt_table() = default;
  /// `pattern` in the syntax of Lustre's cpu_pattern ("0[0-3] 1[4,5,7]", "N 0[0,1] 1[2,3]", "N", and alone or behind
  /// any of them "C[0-1]" and "X[..]"); without partitions of its own, it means one for each NUMA node. `partitions`
  /// counts where the pattern is empty: so many parts, as equal as can be, with the CPUs of a core and of a node next
  /// to each other; 0 being one. False: `why` says what is wrong: CPUs that are not there or in two partitions, numbers
  /// that are not 0, 1, 2, …, a partition that is left without CPUs, more parts than CPUs.
  static bool make(const cpu_topology&, unsigned partitions, std::string_view pattern, cpt_table& out,
                   std::string& why);

  unsigned count() const noexcept { return static_cast<unsigned>(sets_.empty() ? 1 : sets_.size()); }
  /// Ascending. Empty for the default table: wherever the system likes. Throws std::out_of_range.
  const std::vector<unsigned>& cpus(unsigned cpt) const;
  /// The same for every node: which of `among` (all, when it is empty) sees to that peer.
  unsigned of_nid(nid, const std::vector<unsigned>& among) const noexcept;

 private:
  std::vector<std::vector<unsigned>> sets_;
};

}  // namespace lnet
