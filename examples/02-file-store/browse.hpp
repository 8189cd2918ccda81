// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The verbs that move no files. Each returns the program's exit status; what failed is told on stderr, and with
/// `as_json` as an object with `path` and `error` on stdout too.

#include <string>

namespace store {

struct target {
  std::string uri;
  unsigned timeout = 0;  ///< see session_options
  bool as_json = false;
};

int list(const target&, const std::string& path, bool recursive);
int show(const target&, const std::string& path);
int remove(const target&, const std::string& path, bool recursive);

}  // namespace store
