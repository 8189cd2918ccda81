// SPDX-License-Identifier: BSD-2-Clause
#include "backends/loopback/loopback_backend.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

#include "backends/loopback/loopback_link.hpp"

namespace kfx::loopback {
namespace {

bool direct_off(const backend::uri& at) {
  const auto found = at.query.find("direct");
  if (found == at.query.end()) return false;
  const std::string& value = found->second;
  return value == "off" || value == "false" || value == "no" || value == "0";
}

}  // namespace

std::variant<link_ends, backend::failure> make_link_ends(const std::string& name, bool direct) {
  std::string why = "not enough memory";
  try {
    auto pair = std::make_shared<link_pair>();
    if (pair->ok()) {
      static std::atomic<std::uint64_t> made{0};
      pair->name = name;
      pair->number = ++made;
      pair->direct = direct;
      return link_ends{std::make_unique<loopback_link>(pair, 0), std::make_unique<loopback_link>(pair, 1)};
    }
    why =
        std::string("cannot make an eventfd: ") + std::strerror(errno) + "; raise the limit of open files (ulimit -n)";
  } catch (const std::bad_alloc&) {
  }
  return backend::failure{errc::out_of_resources, "cannot connect to loop://" + name + ": " + why};
}

void loopback_backend::connect(kfx::backend::context& ctx, const kfx::backend::uri& at,
                               kfx::backend::on_connected connected) {
  names_.connect(ctx, at, std::move(connected),
                 [](const std::string& name, const kfx::backend::uri& connecting, const kfx::backend::uri& listening) {
                   return make_link_ends(name, !direct_off(connecting) && !direct_off(listening));
                 });
}

std::variant<std::unique_ptr<kfx::backend::listener>, kfx::backend::failure> loopback_backend::listen(
    kfx::backend::context& ctx, const kfx::backend::uri& at, kfx::backend::on_accepted accepted) {
  return names_.listen(ctx, at, std::move(accepted));
}

std::string loopback_backend::offer(kfx::backend::context& ctx) { return "loop://" + ctx.node_id; }

std::variant<kfx::backend::uri, kfx::backend::failure> loopback_backend::reach(kfx::backend::context& ctx,
                                                                               const peer_identity& peer,
                                                                               std::string_view offer) {
  using kfx::backend::failure;
  if (peer.process_id != ctx.process_id) return failure{errc::unreachable, "loop: the peer is another process"};
  if (offer.empty()) return failure{errc::unreachable, "loop: the peer offers no loop:// address"};
  std::string why;
  auto at = kfx::backend::uri::parse(offer, &why);
  if (!at) return failure{errc::bad_uri, "loop: the peer's offer is of no use: " + why};
  return *std::move(at);
}

}  // namespace kfx::loopback

namespace kfx::backend {

std::unique_ptr<backend> make_loopback() { return std::make_unique<kfx::loopback::loopback_backend>(); }

}  // namespace kfx::backend
