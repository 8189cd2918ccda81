// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The whole of a selftest program, but for the drivers that it is to have.

#include <vector>

#include "host.hpp"

namespace lnet::selftest {

/// What main is to return: 0, 1 when something failed, 2 for a wrong command line or script.
int run_main(int argc, char** argv, std::vector<driver_ptr> drivers);

}  // namespace lnet::selftest
