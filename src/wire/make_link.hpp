// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link, whatever a transport supplies.

#include <memory>

#include "kfx/backend/backend.hpp"

namespace kfx::wire {

/// Puts a byte stream under the framer and mapped rings under the ring link; a link stays what it is.
std::unique_ptr<backend::link> make_link(backend::channel);

}  // namespace kfx::wire
