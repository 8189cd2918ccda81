// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Catch2's runner, whose code is compiled once for all test programs.

#include <functional>
#include <string>
#include <vector>

namespace kfx::test {

/// Runs the tests that the arguments select; a selection of none fails. `adapt` may prepare what the tests need and
/// change the selection. Returns what main is to return.
int run_catch(int argc, char** argv, const std::function<void(std::vector<std::string>& selected)>& adapt = {});

}  // namespace kfx::test
