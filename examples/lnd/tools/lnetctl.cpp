// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx-lnetctl: manages a running LNet through its control socket.

#include <iostream>

#include "lnetctl.hpp"

int main(int argc, char** argv) { return lnet::lnetctl({argv + 1, argv + argc}, std::cin, std::cout, std::cerr); }
