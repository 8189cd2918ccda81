// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_connect.hpp"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <utility>

#include "backends/tcp/tcp_address.hpp"
#include "backends/tcp/tcp_stream.hpp"

namespace kfx::backend {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using outcome = std::variant<channel, failure>;
constexpr auto as_values = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds bound(10);

std::string target_of(const uri& u) { return tcp_uri(u.host, u.port); }

outcome fail(const uri& u, std::error_code code, const std::string& reason) {
  return failure{code, "cannot connect to " + target_of(u) + ": " + reason};
}

outcome unknown_host(const uri& u, const error_code& answer) {
  failure f = std::get<failure>(fail(u, errc::unreachable,
                                     "the name \"" + u.host + "\" does not resolve (" + answer.message() +
                                         "); check its spelling and the name service"));
  f.lasting = true;
  return f;
}

/// What an attempt at one address came to; fd < 0: `error` says why.
struct tried {
  int fd = -1;
  error_code error;
};

asio::awaitable<tried> try_address(asio::io_context& io, tcp::endpoint to, std::chrono::nanoseconds limit) {
  // Made here, not by Asio, so that it is close-on-exec from the start.
  const int fd = ::socket(to.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) co_return tried{-1, error_code(errno, boost::system::system_category())};
  tcp::socket socket(io, to.protocol(), fd);
  bool late = false;
  asio::steady_timer timer(io, limit);
  timer.async_wait([&socket, &late](error_code error) {
    if (error) return;
    late = true;
    socket.cancel(error);
  });
  auto [error] = co_await socket.async_connect(to, as_values);
  // A timer that expired already has its handler in the queue: it must run before what it refers to is gone.
  if (timer.cancel() == 0 && !late) co_await asio::post(io, asio::use_awaitable);
  if (error) co_return tried{-1, late ? asio::error::timed_out : error};
  // Without a listener, a local port can be connected to itself.
  if (socket.local_endpoint(error) == socket.remote_endpoint(error))
    co_return tried{-1, asio::error::connection_refused};
  const int connected = socket.release(error);
  if (error) co_return tried{-1, error};
  co_return tried{connected, {}};
}

asio::awaitable<std::pair<std::vector<tcp::endpoint>, error_code>> addresses(asio::io_context& io, const uri& u,
                                                                             unsigned short port) {
  std::vector<tcp::endpoint> found;
  if (const auto address = parse_address(u.host)) {
    found.emplace_back(*address, port);
    co_return std::pair(std::move(found), error_code());
  }
  tcp::resolver resolver(io);
  auto [error, results] = co_await resolver.async_resolve(u.host, u.port, tcp::resolver::numeric_service, as_values);
  for (const auto& entry : results) found.push_back(entry.endpoint());
  if (found.empty()) found = loopback_by_name(u.host, port);
  if (!found.empty()) error = {};
  co_return std::pair(std::move(found), error);
}

bool lacks_resources(const error_code& e) {
  return e.value() == EMFILE || e.value() == ENFILE || e.value() == ENOBUFS || e.value() == ENOMEM;
}

asio::awaitable<outcome> connect(asio::io_context& io, uri u) {
  const auto port = parse_port(u.port);
  if (u.host.empty() || u.host == "*") co_return fail(u, errc::bad_uri, "it names no host; write tcp://host:port");
  if (!port || *port == 0) co_return fail(u, errc::bad_uri, "it names no port from 1 to 65535; write tcp://host:port");

  auto [list, error] = co_await addresses(io, u, *port);
  if (error == asio::error::host_not_found_try_again)
    co_return fail(u, errc::unreachable, "the name server does not answer (" + error.message() + "); try again later");
  if (error || list.empty()) co_return unknown_host(u, error);

  const auto end = std::chrono::steady_clock::now() + bound;
  std::string reasons;
  for (std::size_t i = 0; i < list.size(); ++i) {
    // One address that does not answer must not use up the time of those after it.
    const auto share = (end - std::chrono::steady_clock::now()) / static_cast<std::int64_t>(list.size() - i);
    const tried t = co_await try_address(io, list[i], share);
    if (t.fd >= 0) co_return outcome(channel(std::unique_ptr<byte_stream>(tcp_stream::adopt(t.fd))));
    if (lacks_resources(t.error))
      co_return fail(u, errc::out_of_resources, t.error.message() + "; raise the limit of open files (ulimit -n)");
    reasons += (reasons.empty() ? "" : ", ") + host_port(list[i]) + ": " + t.error.message();
  }
  co_return fail(u, errc::unreachable,
                 reasons + "; check that the peer runs, listens there, and no firewall is between");
}

/// Sees to it that there is one answer, in time: a name server's silence cannot be cut short otherwise.
struct answer_once {
  on_connected callback;
  asio::steady_timer timer;

  void give(outcome o) {
    if (!callback) return;
    timer.cancel();
    std::exchange(callback, nullptr)(std::move(o));
  }
};

}  // namespace

void tcp_connect(asio::io_context& io, const uri& u, on_connected callback) {
  auto answer = std::make_shared<answer_once>(answer_once{std::move(callback), asio::steady_timer(io, bound)});
  answer->timer.async_wait([answer, u](error_code error) {
    if (!error) answer->give(fail(u, errc::unreachable, "no connection within 10 s; check the network and the peer"));
  });
  asio::co_spawn(io, connect(io, u), [answer, u](std::exception_ptr thrown, outcome o) {
    if (thrown) o = fail(u, errc::out_of_resources, "this host refused memory or threads for the attempt");
    answer->give(std::move(o));
  });
}

}  // namespace kfx::backend
