// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Which network interface carries what.

#include <boost/asio/ip/address.hpp>
#include <string>

namespace kfx::backend {

/// The interface that has this address of this host; "" when none has.
std::string interface_of(const boost::asio::ip::address& local);
/// The interface that packets to this address leave by, as routes are now; "" when there is no route. Sends nothing.
std::string interface_towards(const boost::asio::ip::address& remote);

}  // namespace kfx::backend
