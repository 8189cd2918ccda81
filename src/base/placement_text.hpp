// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The text of two knobs, read: `options::partitions` (Lustre's cpu_pattern) and `options::placement`. What the
/// numbers in them mean on a machine is for src/numa to say.

#include <string>
#include <string_view>
#include <vector>

#include "kfx/error.hpp"

namespace kfx::base {

/// `["N"] {number "[" list "]"} ["C[" list "]"] ["X[" list "]"]`, where a list is `first["-"last["/"step]]`, several
/// with commas between, no number twice; C and X in either order; spaces anywhere but in numbers, letters of either
/// case.
struct cpu_pattern {
  bool nodes = false;                     ///< "N": the lists of `parts` name NUMA nodes; else CPUs
  std::vector<std::vector<int>> parts{};  ///< by partition, each ascending; empty: a partition for each NUMA node
  std::vector<int> without_cores{};       ///< "C": left out, counted from 0 within each NUMA node
  std::vector<int> without_cpus{};        ///< "X": left out
  bool operator==(const cpu_pattern&) const = default;

  /// Errors: bad_option; the sentence names the offset, what was expected there and what stands there.
  static result<cpu_pattern> parse(std::string_view text, std::string* why = nullptr);
  /// Parses to the same again.
  std::string to_string() const;
};

/// "automatic", "off", "node:N", "device:NAME"; "" is automatic.
struct placement_policy {
  enum class kind { automatic, off, node, device } what = kind::automatic;
  int node = -1;
  std::string device{};
  bool operator==(const placement_policy&) const = default;

  /// Errors: bad_option.
  static result<placement_policy> parse(std::string_view text, std::string* why = nullptr);
};

}  // namespace kfx::base
