// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_backend.hpp"

#include <sys/mman.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "backends/shm/shm_handshake.hpp"
#include "backends/shm/shm_listener.hpp"
#include "backends/shm/shm_place.hpp"

namespace kfx::shm {
namespace {

namespace asio = boost::asio;
using kfx::backend::failure;
using kfx::backend::uri;
using outcome = std::variant<kfx::backend::channel, failure>;

constexpr std::chrono::seconds bound(5);

outcome unreachable(const place& at, int error) {
  const std::string why = "cannot connect to shm://" + at.path() + ": " + std::strerror(error);
  if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS)
    return failure{errc::out_of_resources, why + "; raise the limit of open files (ulimit -n)"};
  if (error == EACCES) return failure{errc::access_denied, why + "; it is another user's"};
  return failure{errc::unreachable, why + "; check that the peer runs and listens there"};
}

struct found_there {
  place at;
  approach way;
};

/// Who listens at the first of these places where somebody does; else why not, at the place that says most.
asio::awaitable<found_there> approach_one(asio::io_context& io, std::vector<place> places) {
  asio::steady_timer later(io);
  const auto until = clock::now() + bound;
  found_there best;
  for (place& at : places) {
    approach way = connect_to(at);
    while (way.again && clock::now() < until) {
      later.expires_after(std::chrono::milliseconds(1));
      co_await later.async_wait(asio::as_tuple(asio::use_awaitable));
      way = connect_to(at);
    }
    if (way.error == ECONNREFUSED) bury(at);
    // That there is something says more than that there is nothing.
    const bool better = best.at.name.empty() || way.error == 0 || best.way.error == ENOENT;
    if (better) best = {std::move(at), std::move(way)};
    if (best.way.error == 0) break;
  }
  co_return best;
}

asio::awaitable<outcome> connect_there(asio::io_context& io, uri u) {
  auto understood = places_of(u);
  if (auto* bad = std::get_if<failure>(&understood)) co_return std::move(*bad);
  std::vector<place> places = std::get<std::vector<place>>(std::move(understood));
  bulk wanted = bulk::best;
  if (const auto said = u.query.find("bulk"); said != u.query.end() && !parse_bulk(said->second, wanted))
    co_return failure{errc::bad_uri, u.to_string() + ": bulk is one of auto, mapped, cross and ring"};
  auto [at, way] = co_await approach_one(io, std::move(places));
  if (way.error != 0) co_return unreachable(at, way.error);
  auto made = co_await exchange_memory(io, std::move(way.socket), at.name, true, wanted);
  if (auto* bad = std::get_if<failure>(&made)) co_return std::move(*bad);
  co_return kfx::backend::channel(std::move(std::get<std::unique_ptr<kfx::backend::ring_pair>>(made)));
}

}  // namespace

bool shm_backend::available(std::string* why) const {
  const descriptor probe(::memfd_create("kfx", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!probe && why) *why = std::string("memory files cannot be made: ") + std::strerror(errno);
  return static_cast<bool>(probe);
}

void shm_backend::connect(kfx::backend::context& ctx, const uri& u, kfx::backend::on_connected callback) {
  asio::co_spawn(ctx.io, connect_there(ctx.io, u),
                 [callback = std::move(callback), u](std::exception_ptr thrown, outcome o) {
                   if (thrown)
                     o = failure{errc::out_of_resources, u.to_string() + ": this host refused memory for the attempt"};
                   callback(std::move(o));
                 });
}

std::variant<std::unique_ptr<kfx::backend::listener>, failure> shm_backend::listen(kfx::backend::context& ctx,
                                                                                   const uri& u,
                                                                                   kfx::backend::on_accepted callback) {
  return shm_listen(ctx.io, u, std::move(callback));
}

std::string shm_backend::meeting_place(kfx::backend::context& ctx) { return "shm://" + ctx.node_id; }

std::string shm_backend::offer(kfx::backend::context& ctx) {
  uri own;
  own.scheme = "shm";
  own.host = ctx.node_id;
  const auto at = place_of(own);
  const auto* p = std::get_if<place>(&at);
  return p ? "shm://" + p->path() : std::string();
}

std::variant<uri, failure> shm_backend::reach(kfx::backend::context& ctx, const peer_identity& peer,
                                              std::string_view offer) {
  if (peer.host_id != ctx.host_id) return failure{errc::unreachable, "shm: the peer is on another host"};
  if (offer.empty()) return failure{errc::unreachable, "shm: the peer offers no shm:// address"};
  std::string why;
  auto at = uri::parse(offer, &why);
  if (!at) return failure{errc::bad_uri, "shm: the peer's offer is of no use: " + why};
  return *std::move(at);
}

}  // namespace kfx::shm

namespace kfx::backend {

std::unique_ptr<backend> make_shm() { return std::make_unique<kfx::shm::shm_backend>(); }

}  // namespace kfx::backend
