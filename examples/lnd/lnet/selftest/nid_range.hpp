// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// NIDs as consoles name them: "192.168.1.[2-5,9]@kfx" is five of them.

#include <string>
#include <string_view>
#include <vector>

#include "nid.hpp"

namespace lnet::selftest {

inline constexpr std::size_t max_nids_of_a_range = 4096;

/// Appends them in order. False: `why` says what is wrong.
bool expand_nids(std::string_view text, std::vector<nid>& out, std::string& why);

}  // namespace lnet::selftest
