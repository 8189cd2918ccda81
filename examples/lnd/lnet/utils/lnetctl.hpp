// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The program that manages a running LNet, to be had without a process of its own.

#include <iosfwd>
#include <string>
#include <vector>

namespace lnet {

/// `arguments` without the program's name. 0: done; 1: LNet refused, or the file could not be read; 2: the arguments
/// make no sense; 3: LNet could not be asked. Answers go to `out`, complaints to `err`.
int lnetctl(std::vector<std::string> arguments, std::istream& in, std::ostream& out, std::ostream& err);

}  // namespace lnet
