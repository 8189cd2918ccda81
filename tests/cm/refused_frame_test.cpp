// SPDX-License-Identifier: BSD-2-Clause
// A peer that shook hands and then sends what no engine sends.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "cm/raw_link.hpp"
#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// Looks at nothing.
struct deaf final : backend::frame_sink {
  bool on_frame(const_buffer, const_buffer) override { return true; }
  std::span<const mutable_buffer> on_bulk(const_buffer, std::size_t) override { return {}; }
  bool on_bulk_done() override { return true; }
  void on_sent(backend::cookie) override {}
  void on_quiet(backend::cookie) override {}
  void on_direct(backend::cookie, std::error_code) override {}
};

/// A link to the server that carries a session.
std::unique_ptr<backend::link> shake_hands(const std::string& address) {
  boost::asio::io_context io;
  const options none;
  backend::context ctx{io, std::string(32, 'c'), "host", "process", none};
  const auto to = *backend::uri::parse(address);
  std::optional<std::variant<backend::channel, backend::failure>> made;
  backend::find_backend(to.scheme)->connect(ctx, to, [&](auto got) { made = std::move(got); });
  while (!made && io.run_one() != 0) {
  }
  REQUIRE(made);
  REQUIRE(std::holds_alternative<backend::channel>(*made));
  cm::raw_link raw(io, std::get<backend::channel>(std::move(*made)));
  cm::greeting hello;
  hello.node_id = ctx.node_id;
  hello.incarnation = 42;
  hello.session = 4711;
  hello.credits = 8;
  hello.scheme = to.scheme;
  bool welcome = false;
  const auto talk = [&]() -> boost::asio::awaitable<void> {
    const auto until = clock::now() + 10s;
    if (co_await raw.send(hello, until)) co_return;
    const cm::heard answer = co_await raw.receive(until);
    const auto* g = std::get_if<cm::greeting>(&answer);
    welcome = g && g->kind == wire::type::welcome;
  };
  boost::asio::co_spawn(io, talk(), boost::asio::detached);
  io.restart();
  io.run();
  REQUIRE(welcome);
  return raw.release();
}

/// Whether the link's other end goes away.
bool ends(backend::link& l) {
  deaf sink;
  for (const auto until = clock::now() + 10s; clock::now() < until; std::this_thread::yield())
    if (l.flush(sink) || l.poll(sink, 64).error) return true;
  return false;
}

}  // namespace

TEST_CASE("a frame that makes no sense ends the session, whatever it came over") {
  const std::string listen = GENERATE("tcp://127.0.0.1:0", "loop://nonsense?direct=off");
  const auto type = GENERATE(wire::type::result, wire::type::data, wire::type::write, wire::type::last_control);
  INFO(listen << ", " << wire::name(type));
  node server({.listen = {listen}});
  const auto l = shake_hands(server.addresses().front());
  wire::head h;
  h.length = wire::head_size;
  h.type = type;
  h.op = wire::pack_op(77, wire::last | wire::notify);  // of nothing, and without the words that notify takes
  const auto window = l->reserve(2 * wire::head_size);
  REQUIRE(window.size() >= 2 * wire::head_size);
  wire::store(window.data(), h);
  h.type = wire::type::nop;  // what follows looks innocent
  wire::store(window.data() + wire::head_size, h);
  l->commit(2 * wire::head_size);
  CHECK(ends(*l));
  node other;
  CHECK(other.at(server.addresses().front()).open("nothing").complete(20s).error() == errc::not_found);
}
