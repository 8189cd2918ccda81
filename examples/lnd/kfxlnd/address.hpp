// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// NIDs, interfaces and URIs.

#include <optional>
#include <string>
#include <string_view>

#include "nid.hpp"

namespace kfxlnd {

/// The IPv4 address of an interface of this host, or that which is written there. An empty name: of the first interface
/// that is up and no loopback.
std::optional<std::uint32_t> address_of(const std::string& interface);
/// `pattern` with the NID's address and net in their places.
std::string uri_of(std::string_view pattern, lnet::nid);

}  // namespace kfxlnd
