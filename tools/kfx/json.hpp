// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// JSON out: Boost.JSON, compiled once (json.cpp), and its layout for people.

#include <boost/json.hpp>
#include <string>

namespace tool {

namespace json = boost::json;

/// To standard output, indented.
void print(const json::value&);

}  // namespace tool
