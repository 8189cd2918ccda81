// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Two processes that found each other exchange their memory.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "backends/shm/descriptor.hpp"
#include "backends/shm/shm_pair.hpp"
#include "kfx/backend/backend.hpp"

namespace kfx::shm {

/// The rings of a socket that is connected, or why there are none. `connecting`: this end speaks first, and
/// says which way bulk data go. Bounded in
/// time.
boost::asio::awaitable<std::variant<std::unique_ptr<kfx::backend::ring_pair>, kfx::backend::failure>> exchange_memory(
    boost::asio::io_context&, descriptor socket, std::string name, bool connecting, bulk way);

}  // namespace kfx::shm
