// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What this build and this machine have.

#include <string>
#include <vector>

namespace kfx {

struct backend_info {
  std::string name;
  bool available = false;
  std::string why;  ///< when not available: what is missing and what mends it
};

/// Every backend known to this process, best first.
std::vector<backend_info> backends();

/// "0.1.0"
const char* version() noexcept;

}  // namespace kfx
