// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Accepting at a unix socket.

#include "backends/shm/shm_place.hpp"
#include "kfx/backend/backend.hpp"

namespace kfx::shm {

std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> shm_listen(boost::asio::io_context&,
                                                                                        const kfx::backend::uri&,
                                                                                        kfx::backend::on_accepted);

}  // namespace kfx::shm
