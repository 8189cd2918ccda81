// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Where a console writes to.

#include <functional>
#include <string>
#include <string_view>

namespace lnet::selftest {

struct output {
  std::function<void(std::string_view)> text;   ///< results, whole lines
  std::function<void(std::string_view)> notes;  ///< what people are told besides
  bool json = false;                            ///< results are objects, one a line
  bool terminal = false;                        ///< tables are written over
};

/// With quotes.
std::string json_text(std::string_view);

}  // namespace lnet::selftest
