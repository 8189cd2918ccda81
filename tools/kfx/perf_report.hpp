// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What `kfx perf` found, as a table that grows, as CSV or as JSON.

#include <string>
#include <vector>

#include "perf_client.hpp"

namespace tool::perf {

enum class format { table, csv, json };

/// How it was measured; the same for every row.
struct setting {
  std::string uri;
  std::string transport;
  client_options options;
  int cpu = -1;
  int server_cpu = -1;
};

/// Rows of a table and of CSV come out as they are added, JSON at the end.
class report {
 public:
  report(format f, setting s) : format_(f), setting_(std::move(s)) {}
  /// What stands above the rows.
  void begin();
  void add(const outcome&);
  void end();
  const std::vector<outcome>& rows() const { return rows_; }

 private:
  format format_;
  setting setting_;
  std::vector<outcome> rows_;
};

const char* name_of(memory) noexcept;
const char* name_of(kfx::progress) noexcept;

}  // namespace tool::perf
