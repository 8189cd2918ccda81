// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The verbs that move no files. Each returns the program's exit status; what failed is told on stderr, and with
/// `as_json` as an object with `path` and `error` on stdout too.

#include <string>

namespace store {

int list(const std::string& uri, const std::string& path, bool recursive, bool as_json);
int show(const std::string& uri, const std::string& path, bool as_json);
int remove(const std::string& uri, const std::string& path, bool recursive, bool as_json);

}  // namespace store
