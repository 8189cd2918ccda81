// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_address.hpp"

#include <algorithm>
#include <charconv>

namespace kfx::backend {

namespace ip = boost::asio::ip;

std::string host_port(const tcp::endpoint& e) {
  ip::address a = e.address();
  if (a.is_v6() && a.to_v6().is_v4_mapped()) a = ip::make_address_v4(ip::v4_mapped, a.to_v6());
  const std::string port = std::to_string(e.port());
  return a.is_v6() ? "[" + a.to_string() + "]:" + port : a.to_string() + ":" + port;
}

std::string tcp_uri(std::string_view host, std::string_view port) {
  const bool bracketed = host.find(':') != std::string_view::npos;
  std::string s = bracketed ? "tcp://[" : "tcp://";
  s.append(host).append(bracketed ? "]:" : ":").append(port);
  return s;
}

std::optional<unsigned short> parse_port(std::string_view text) {
  if (text.empty()) return 0;
  unsigned short port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<ip::address> parse_address(const std::string& host) {
  boost::system::error_code error;
  const ip::address a = ip::make_address(host, error);
  return error ? std::nullopt : std::optional(a);
}

std::vector<tcp::endpoint> loopback_by_name(std::string_view host, unsigned short port) {
  constexpr std::string_view name = "localhost";
  const auto same = [](char a, char b) { return (a | 0x20) == b; };
  if (!std::equal(host.begin(), host.end(), name.begin(), name.end(), same)) return {};
  return {{ip::address_v4::loopback(), port}, {ip::address_v6::loopback(), port}};
}

}  // namespace kfx::backend
