// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx-lst: LNet selftest.

#include "drivers.hpp"
#include "run_main.hpp"

int main(int argc, char** argv) { return lnet::selftest::run_main(argc, argv, make_drivers()); }
