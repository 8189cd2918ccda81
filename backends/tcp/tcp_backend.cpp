// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_backend.hpp"

#include "backends/tcp/tcp_address.hpp"
#include "backends/tcp/tcp_connect.hpp"
#include "backends/tcp/tcp_interface.hpp"
#include "backends/tcp/tcp_listener.hpp"

namespace kfx::backend {

void tcp_backend::connect(context& ctx, const uri& u, on_connected callback) {
  tcp_connect(ctx.io, u, std::move(callback));
}

std::variant<std::unique_ptr<listener>, failure> tcp_backend::listen(context& ctx, const uri& u, on_accepted callback) {
  return tcp_listen(ctx.io, u, std::move(callback));
}

std::string tcp_backend::device(const uri& u) {
  // A name would have to be asked for.
  const auto address = parse_address(u.host);
  return address ? interface_towards(*address) : std::string();
}

std::variant<uri, failure> tcp_backend::reach(context&, const peer_identity&, std::string_view) {
  return failure{errc::not_supported, "tcp makes no offers: connect to the peer's listen address, tcp://host:port"};
}

std::unique_ptr<backend> make_tcp() { return std::make_unique<tcp_backend>(); }

}  // namespace kfx::backend
