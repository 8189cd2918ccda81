// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_backend.hpp"

#include "backends/tcp/tcp_connect.hpp"
#include "backends/tcp/tcp_listener.hpp"

namespace kfx::backend {

void tcp_backend::connect(context& ctx, const uri& u, on_connected callback) {
  tcp_connect(ctx.io, u, std::move(callback));
}

std::variant<std::unique_ptr<listener>, failure> tcp_backend::listen(context& ctx, const uri& u, on_accepted callback) {
  return tcp_listen(ctx.io, u, std::move(callback));
}

std::variant<uri, failure> tcp_backend::reach(context&, const peer_identity&, std::string_view) {
  return failure{errc::not_supported, "tcp makes no offers: connect to the peer's listen address, tcp://host:port"};
}

std::unique_ptr<backend> make_tcp() { return std::make_unique<tcp_backend>(); }

}  // namespace kfx::backend
