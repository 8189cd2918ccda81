// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Hosts and ports, as text and as socket addresses.

#include <boost/asio/ip/tcp.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kfx::backend {

using tcp = boost::asio::ip::tcp;

/// "127.0.0.1:7400", "[::1]:7400"; an IPv4 address mapped into IPv6 is shown as what it is.
std::string host_port(const tcp::endpoint&);
/// "tcp://host:port", IPv6 in brackets.
std::string tcp_uri(std::string_view host, std::string_view port);
/// 0 to 65535 in decimal, "" being 0; nothing when it is neither.
std::optional<unsigned short> parse_port(std::string_view text);
/// A host that is an address already, or nothing.
std::optional<boost::asio::ip::address> parse_address(const std::string& host);
/// This host by the name that always means it ("localhost", RFC 6761), for where no name service knows that; else
/// nothing.
std::vector<tcp::endpoint> loopback_by_name(std::string_view host, unsigned short port);

}  // namespace kfx::backend
