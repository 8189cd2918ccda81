// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Listening and accepting.

#include "kfx/backend/backend.hpp"

namespace kfx::backend {

/// The contract of `backend::listen`. Host "" or "*": every address of this host; port "" or "0": one that is free.
std::variant<std::unique_ptr<listener>, failure> tcp_listen(boost::asio::io_context&, const uri&, on_accepted);

}  // namespace kfx::backend
