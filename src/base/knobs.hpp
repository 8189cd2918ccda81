// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What there is to know about the knobs of kfx::options besides their values.

#include <string>
#include <string_view>
#include <vector>

namespace kfx::base {

/// The names `options::set` takes, in the order of the struct.
std::vector<std::string_view> knob_names();
/// May stand in a peer's URI query ([uri] in kfx/options.hpp).
bool is_uri_knob(std::string_view name) noexcept;

}  // namespace kfx::base
