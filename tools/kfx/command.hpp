// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The subcommands of kfx. Each adds its options, and sets `status`, the exit status, when it has run.
/// What goes wrong is thrown as a std::exception whose text is a sentence.

#include <CLI/CLI.hpp>

namespace tool {

void add_info(CLI::App&, int& status);
void add_ping(CLI::App&, int& status);
void add_doctor(CLI::App&, int& status);
void add_perf(CLI::App&, int& status);

}  // namespace tool
