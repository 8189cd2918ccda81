// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The test backends do the harm they promise: a fault that never happens tests nothing.

#include <poll.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "links/link_suite.hpp"
#include "support/faults.hpp"

using namespace kfx;
using namespace kfx::test;

namespace {

struct quiet_node {
  boost::asio::io_context io;
  options opts;
  backend::context context{io, std::string(32, 'b'), "host", "process", opts};

  void run_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done() && std::chrono::steady_clock::now() < deadline) io.run_one_for(std::chrono::seconds(1));
    REQUIRE(done());
  }
};

backend::uri parsed(const std::string& text) { return backend::uri::parse(text).value(); }

/// Sends frames both ways until a link dies; how many of b's answers a saw, and how many of a's frames b saw.
std::pair<std::size_t, std::size_t> converse(connected& pair, rng& r, std::size_t most) {
  side a(pair.a()), b(pair.b());
  const frame f = random_frame(r, 100);
  std::size_t answers = 0, asked = 0, answered = 0;
  turn_until(a, b, [&] {
    if (!a.error && asked < most) a.build(f);
    asked += b.seen.frames.size();
    b.seen.frames.clear();
    while (answered < asked && !b.error && b.build(f)) ++answered;
    answers += a.seen.frames.size();
    a.seen.frames.clear();
    return (a.error && b.error) || answers >= most;
  });
  return {answers, asked};
}

}  // namespace

TEST_CASE("cuts happen and both ends notice", "[links][faults]") {
  register_test_backends();
  rng r(seed_for("cuts"));
  faults::reset_counts();
  for (const char* scheme : {"faulty+loop", "faulty+tcp", "faulty+sim"}) {
    const std::string place = std::string(scheme) == "faulty+tcp" ? "127.0.0.1:0" : "cuts";
    const std::uint64_t before = faults::counts().cuts;
    std::set<std::size_t> lengths;
    for (int i = 0; i < 20; ++i) {
      connected pair({std::string(scheme) + "://" + place, "cut=30&seed=" + std::to_string(r() % 1000)});
      const auto [answers, asked] = converse(pair, r, 100000);
      CHECK(answers < 100000);
      lengths.insert(answers);
    }
    CHECK(faults::counts().cuts - before == 20);
    CHECK(lengths.size() > 3);
  }
}

TEST_CASE("simulated links can be cut after some frames", "[links][faults]") {
  register_test_backends();
  rng r(seed_for("sim cuts"));
  connected pair({"sim://cuts?cut_after=50", ""});
  CHECK(converse(pair, r, 100000).first < 100000);
}

TEST_CASE("acks are lost before some cuts", "[links][faults]") {
  register_test_backends();
  rng r(seed_for("lost acks"));
  faults::reset_counts();
  std::size_t unheard = 0;
  for (int i = 0; i < 40; ++i) {
    connected pair({"faulty+loop://lost", "cut=30&lost_acks=1&seed=" + std::to_string(r() % 1000)});
    const auto [answers, asked] = converse(pair, r, 100000);
    unheard += asked > answers;
  }
  CHECK(faults::counts().swallowed > 0);
  CHECK(unheard > 0);
}

TEST_CASE("no faults while they are disabled", "[links][faults]") {
  register_test_backends();
  rng r(seed_for("disabled"));
  faults::reset_counts();
  faults::enable(false);
  connected pair({"faulty+loop://calm?cut=10&delay=3&partial=1&lost_acks=1", "cut=10&dup=1"});
  CHECK(converse(pair, r, 2000).first == 2000);
  faults::enable(true);
  CHECK(faults::counts().cuts == 0);
  CHECK(faults::counts().delays == 0);
  CHECK(faults::counts().refusals == 0);
  CHECK(faults::counts().duplicates == 0);
}

TEST_CASE("a test cuts links by name, asleep or not", "[links][faults]") {
  register_test_backends();
  for (const std::string scheme : {"faulty+loop", "sim"}) {
    connected mine({scheme + "://one", ""}), other({scheme + "://two", ""});
    side a(mine.a()), b(mine.b()), c(other.a());
    const auto armed = [&] {
      for (int i = 0; i < 50; ++i) a.turn();
      for (backend::wait_handle h = a.link.arm();; h = a.link.arm()) {
        if (h.fd >= 0) return h;
        a.turn();
      }
    };
    const backend::wait_handle handle = armed();
    unsigned cut = 0;
    std::thread tester([&] { cut = scheme == "sim" ? sim::cut("one") : faults::cut_all("one"); });
    pollfd waiting{handle.fd, POLLIN, 0};
    CHECK(::poll(&waiting, 1, 20000) == 1);
    tester.join();
    CHECK(cut == 2);
    CHECK(turn_until(a, b, [&] { return a.error && b.error; }));
    for (int i = 0; i < 50; ++i) c.turn();
    CHECK_FALSE(c.error);
    CHECK(faults::cut_all("nowhere") == 0);
  }
}

TEST_CASE("a doubled attempt connects twice and works", "[links][faults]") {
  register_test_backends();
  rng r(seed_for("dup"));
  for (int round = 0; round < 20; ++round) {
    quiet_node node;
    std::vector<backend::channel> accepted;
    auto* const made_by = backend::find_backend("faulty+loop");
    auto listening = made_by->listen(node.context, parsed("faulty+loop://twice"),
                                     [&](backend::channel c) { accepted.push_back(std::move(c)); });
    REQUIRE(listening.index() == 0);
    std::unique_ptr<backend::link> connecting;
    made_by->connect(node.context, parsed("faulty+loop://twice?dup=1&seed=" + std::to_string(r() % 1000)),
                     [&](std::variant<backend::channel, backend::failure> outcome) {
                       connecting = std::move(std::get<0>(std::get<backend::channel>(outcome)));
                     });
    CHECK_FALSE(connecting);
    node.run_until([&] { return connecting && accepted.size() == 2; });
    side a(*connecting);
    const frame f = random_frame(r, 10);
    std::size_t got = 0;
    REQUIRE(turn_until(a, [&] { return a.build(f); }));
    for (backend::channel& c : accepted) {
      side b(*std::get<0>(c));
      for (int i = 0; i < 20; ++i) a.turn(), b.turn();
      got += b.seen.frames.size();
    }
    CHECK(got == 1);
  }
}

TEST_CASE("addresses of faulty listeners can be connected to, and bad faults are refused", "[links][faults]") {
  register_test_backends();
  quiet_node node;
  auto* const made_by = backend::find_backend("faulty+tcp");
  auto listening = made_by->listen(node.context, parsed("faulty+tcp://127.0.0.1:0?cut=5&seed=2"), [](auto) {});
  REQUIRE(listening.index() == 0);
  const std::string address = std::get<0>(listening)->address();
  CHECK(address.starts_with("faulty+tcp://127.0.0.1:"));
  CHECK(address.find("cut") == std::string::npos);
  CHECK(made_by->listen(node.context, parsed("faulty+tcp://127.0.0.1:0?cut=often"), [](auto) {}).index() == 1);

  std::vector<backend::failure> failures;
  const auto keep = [&](std::variant<backend::channel, backend::failure> outcome) {
    failures.push_back(std::get<backend::failure>(outcome));
  };
  made_by->connect(node.context, parsed(address + "?delay=x"), keep);
  backend::find_backend("faulty+loop")->connect(node.context, parsed("faulty+loop://nobody?dup=1"), keep);
  backend::find_backend("loop")->connect(node.context, parsed("loop://nobody"), keep);
  CHECK(failures.empty());
  node.run_until([&] { return failures.size() == 3; });
  for (const backend::failure& f : failures) {
    if (f.code == errc::bad_uri) continue;
    CHECK(f.code == errc::unreachable);
    CHECK(f.why.find("no node listens at loop://nobody in this process") != std::string::npos);
  }
}

TEST_CASE("a loopback name has one listener at a time", "[links][loop]") {
  quiet_node node;
  auto* const loop = backend::find_backend("loop");
  auto first = loop->listen(node.context, parsed("loop://only/one"), [](auto) {});
  REQUIRE(first.index() == 0);
  CHECK(std::get<0>(first)->address() == "loop://only/one");
  auto second = loop->listen(node.context, parsed("loop://only/one"), [](auto) {});
  REQUIRE(second.index() == 1);
  CHECK(std::get<1>(second).code == errc::address_in_use);

  // A listener that goes away before it was told: its end is dropped, and nobody calls it.
  std::unique_ptr<backend::link> connecting;
  loop->connect(node.context, parsed("loop://only/one"), [&](std::variant<backend::channel, backend::failure> outcome) {
    connecting = std::move(std::get<0>(std::get<backend::channel>(outcome)));
  });
  std::get<0>(first).reset();
  node.run_until([&] { return bool(connecting); });
  node.io.poll();
  side a(*connecting);
  CHECK(turn_until(a, [&] { return bool(a.error); }));
  CHECK(loop->listen(node.context, parsed("loop://only/one"), [](auto) {}).index() == 0);

  CHECK(loop->offer(node.context) == "loop://" + node.context.node_id);
  CHECK(loop->reach(node.context, {"x", "host", "process"}, "loop://x").index() == 0);
  CHECK(loop->reach(node.context, {"x", "host", "another"}, "loop://x").index() == 1);
  CHECK(loop->reach(node.context, {"x", "host", "process"}, "").index() == 1);
}

TEST_CASE("simulated puts arrive late, and even after their initiator is gone", "[links][sim]") {
  register_test_backends();
  rng r(seed_for("late puts"));
  faults::reset_counts();
  std::size_t overtaken = 0, changed_after_close = 0;
  for (int round = 0; round < 200; ++round) {
    connected pair({"sim://late", "seed=" + std::to_string(r() % 100000)});
    connected successor({"sim://later", "seed=" + std::to_string(r() % 100000)});
    side a(pair.a()), b(pair.b()), next(successor.a());
    pages owned(4096);
    const mutable_buffer memory = owned.all();
    const auto key = b.link.direct()->share(std::span(&memory, 1), access::write, backend::sharing::lasting);
    REQUIRE(key.has_value());
    const bytes source(64, std::byte{7});
    const const_buffer from(source);
    REQUIRE(a.direct().put(*key, 0, std::span(&from, 1), 1));
    const frame f = random_frame(r, 8);
    REQUIRE(turn_until(a, b, [&] { return a.seen.direct.contains(1); }));
    REQUIRE(turn_until(a, b, [&] { return a.build(f); }));
    REQUIRE(turn_until(a, b, [&] { return !b.seen.frames.empty(); }));
    overtaken += memory[0] == std::byte{0};
    for (backend::cookie id = 2; id < 8; ++id) a.direct().put(*key, 64 * id, std::span(&from, 1), id);
    for (std::size_t turns = r() % 6; turns > 0; --turns) a.turn();
    a.link.close();
    const bytes then(memory.begin(), memory.end());
    for (std::size_t turns = r() % 100; turns > 0; --turns) next.turn();
    changed_after_close += !std::ranges::equal(then, memory);
    b.link.close();
    owned.take_away();
    for (int i = 0; i < 100; ++i) next.turn();
  }
  CHECK(overtaken > 0);
  CHECK(changed_after_close > 0);
  CHECK(faults::counts().stale_puts > 0);
  CHECK(faults::counts().dropped_puts > 0);
}
