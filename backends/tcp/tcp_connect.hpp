// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Connecting: names, addresses in turn, a bound.

#include "kfx/backend/backend.hpp"

namespace kfx::backend {

/// The contract of `backend::connect`.
void tcp_connect(boost::asio::io_context&, const uri&, on_connected);

}  // namespace kfx::backend
