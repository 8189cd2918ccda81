// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Peers: connected when first used, dropped when idle, back after a loss, told apart after a restart.

#include <poll.h>
#include <unistd.h>

#include <barrier>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// Keeps what on_peer says.
struct events {
  counter up, down, restarted;
  void watch(node& n) {
    n.on_peer([this](const kfx::peer&, peer_event e) {
      (e == peer_event::up ? up : e == peer_event::down ? down : restarted).add();
    });
  }
};

/// The URI to listen at again where `n` listens now.
std::string same_place(node& n) {
  std::string uri = uri_of(n);
  uri = uri.substr(0, uri.find('?'));
  const std::string listen = listen_uri();
  const auto query = listen.find('?');
  return query == std::string::npos ? uri : uri + listen.substr(query);
}

/// A node that can die and come back at its address.
struct phoenix {
  std::string listen = listen_uri();
  guarded memory{1 << 20};
  std::unique_ptr<host> life;
  region shared;
  counter seen;

  void rise() {
    options o = client_options();
    o.listen = {listen};
    o.name = "phoenix-" + std::to_string(::getpid());
    life = std::make_unique<host>(o);
    (*life)->on_message([this](message m) {
      seen.add();
      if (m.wants_reply()) m.reply(m.header());
    });
    shared = (*life)->share(memory.span(), access::read_write);
    (*life)->publish("memory", shared);
    listen = same_place(**life);
  }
  void die() {
    life->destroy();
    shared = {};
  }
};

}  // namespace

TEST_CASE("a node that sets its handlers before it listens misses no message", "[connect]") {
  const std::size_t rounds = repeats("KFX_TEST_ROUNDS", 100);
  phoenix first;
  first.rise();  // its place is known from here on
  host client(client_options());
  const kfx::peer p = client->at(uri_of(**first.life));
  for (std::size_t i = 0; i < rounds; ++i) {
    first.die();
    op<done> waiting = p.send(head.bytes());
    options o = client_options();
    o.name = "late-" + std::to_string(i);
    host late(o);
    counter seen;
    late->on_message([&seen](message) { seen.add(); });
    CHECK(late->addresses().empty());
    late->listen(first.listen);
    CHECK(late->addresses().size() == 1);
    // What was sent to the one before may end with it; what this one is sent has its handler.
    if (const std::error_code e = error_of(waiting); e) CHECK(e != errc::dropped);
    must(p.send(head.bytes()));
    CHECK(seen.value() >= 1);
    late.destroy();
    first.life = std::make_unique<host>(client_options());
  }
}

TEST_CASE("listening at a place that is taken or makes no sense says so", "[connect]") {
  host first(server_options()), second(client_options());
  const std::string taken = same_place(*first);
  CHECK_THROWS_AS(second->listen(taken), kfx::error);
  CHECK_THROWS_AS(second->listen("nonsense"), kfx::error);
  CHECK(second->addresses().empty());
  second->listen(listen_uri());
  CHECK(second->addresses().size() == 1);
}

TEST_CASE("naming a peer costs nothing, the first op connects", "[connect]") {
  events client_events, server_events;
  world w;
  client_events.watch(**w.client);
  server_events.watch(**w.server);
  const kfx::peer p = (*w.client)->at(uri_of(**w.server));
  CHECK_FALSE(p.connected());
  CHECK(client_events.up.value() == 0);
  w.connect();
  CHECK(w.peer.connected());
  CHECK(client_events.up.reaches(1));
  CHECK(server_events.up.reaches(1));
  CHECK_FALSE(w.peer.explain().empty());
  CHECK(w.peer.uri().starts_with(under_test().scheme()));
  w.client->destroy();
  CHECK(server_events.down.reaches(1));
}

TEST_CASE("the first ops of many threads share one connection", "[connect]") {
  events e;
  world w;
  e.watch(**w.server);
  (*w.server)->on_message([](message) {});
  const std::string uri = uri_of(**w.server);
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const kfx::peer p = (*w.client)->at(uri);
      if (!p.send(head.bytes()).complete(patience)) ++failures;
    });
  for (auto& t : threads) t.join();
  CHECK(failures == 0);
  CHECK(e.up.reaches(1));
  if (!under_test().cuts()) CHECK(e.up.value() == 1);
}

TEST_CASE("both sides connect at once", "[connect]") {
  const std::size_t rounds = repeats("KFX_TEST_ROUNDS", 1000);
  INFO("seed " << process_seed());
  std::size_t failed = 0;
  for (std::size_t n = 0; n < rounds; ++n) {
    counter a_seen, b_seen;
    host a(server_options()), b(server_options());
    const auto answer = [](counter& c) {
      return [&c](message m) {
        c.add();
        m.reply(m.header());
      };
    };
    a->on_message(answer(a_seen));
    b->on_message(answer(b_seen));
    const kfx::peer to_a = b->at(uri_of(*a)), to_b = a->at(uri_of(*b));
    std::array<std::byte, 16> a_answer{}, b_answer{};
    std::barrier start(2);
    bool other_ok = false;
    std::thread other([&] {
      start.arrive_and_wait();
      other_ok = to_a.send(head.bytes(), {}, {.reply = b_answer}).complete(patience).has_value();
    });
    start.arrive_and_wait();
    auto o = to_b.send(head.bytes(), {}, {.reply = a_answer});
    const bool ok = o.complete(patience).has_value();
    other.join();
    INFO("round " << n << ": " << o.explain());
    REQUIRE(ok);
    REQUIRE(other_ok);
    // Whatever became of the two connections, each message had its effect once.
    if (a_seen.value() != 1 || b_seen.value() != 1) ++failed;
    a.destroy();
    b.destroy();
  }
  CHECK(failed == 0);
}

TEST_CASE("an op that is early waits until the peer listens", "[connect]") {
  phoenix p;
  p.rise();
  const std::string uri = uri_of(**p.life);
  p.die();
  host client(client_options());
  const kfx::peer peer = client->at(uri);
  auto o = peer.send(head.bytes());
  CHECK(o.complete(50ms).error() == errc::timed_out);
  CHECK_FALSE(o.ready());
  p.rise();
  must(o);
  CHECK(p.seen.reaches(1));
}

TEST_CASE("a peer that restarted is a new incarnation", "[connect]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  random_source rng("restart");
  events e;
  phoenix p;
  p.rise();
  host client(client_options(mode));
  e.watch(*client);
  const kfx::peer peer = client->at(uri_of(**p.life));
  for (std::uint64_t round = 1; round <= 10; ++round) {
    const remote_region token = must(peer.open("memory"));
    must(peer.write(noise().first(1000), token.at(0, 1000)));
    std::vector<op<done>> under_way;
    for (std::size_t i = rng.below(20); i > 0; --i)
      under_way.push_back(peer.write(noise().first(rng.size(1 << 20)), token, {.lane = static_cast<lane>(i % 3)}));
    const std::string old_id = (*p.life)->id();
    p.die();
    p.rise();
    REQUIRE((*p.life)->id() != old_id);
    REQUIRE((*p.life)->id().size() == 32);
    // A message may find the loss out; after that the peer is there again.
    auto first = peer.send(head.bytes());
    const auto first_error = error_of(first);
    INFO(first.explain());
    REQUIRE((!first_error || first_error == errc::peer_restarted));
    for (auto& o : under_way) {
      INFO(o.explain());
      const auto x = error_of(o);
      REQUIRE((!x || x == errc::peer_restarted || x == errc::stale_region));
    }
    must(peer.send(head.bytes()));
    REQUIRE(e.restarted.reaches(round));
    REQUIRE(error_of(peer.write(noise().first(8), token.at(0, 8))) == errc::stale_region);
    REQUIRE(error_of(peer.read(std::array<std::byte, 8>{}, token.at(0, 8))) == errc::stale_region);
    REQUIRE(token != must(peer.open("memory")));
  }
}

TEST_CASE("an idle connection is dropped and comes back by itself", "[connect]") {
  counter seen;
  world w(progress::threads, 1 << 16, [](options& server, options& client) { server.idle = client.idle = 50ms; });
  (*w.server)->on_message([&](message) { seen.add(); });
  w.connect();
  for (int round = 0; round < 3; ++round) {
    eventually([&] { return !w.peer.connected(); }, "the idle connection was dropped");
    must(w.peer.send(head.bytes()));
    CHECK(w.peer.connected());
    eventually([&] { return !w.peer.connected(); }, "the idle connection was dropped again");
    // A token is as good as before.
    must(w.peer.write(noise().first(100), w.remote.at(0, 100)));
  }
  CHECK(seen.value() == 3);
}

TEST_CASE("a client that does not listen is reached while it is there", "[connect]") {
  kfx::peer back;
  counter met, client_seen;
  world w;
  (*w.server)->on_message([&](message m) {
    back = m.from();
    met.add();
  });
  (*w.client)->on_message([&](message) { client_seen.add(); });
  w.connect();
  must(w.peer.send(head.bytes()));
  REQUIRE(met.reaches(1));
  for (int i = 0; i < 20; ++i) must(back.send(head.bytes(), noise().first(20000)));
  CHECK(client_seen.value() == 20);
  w.client->destroy();
  // Nobody can be dialled: the op waits for the client's return until its deadline, or learns that it left.
  auto o = back.send(head.bytes(), {}, {.deadline = 200ms});
  CHECK(error_of(o));
  CHECK_FALSE(o.explain().empty());
}

TEST_CASE("peers are compared by session", "[connect]") {
  kfx::peer a, b;
  counter met;
  world w;
  (*w.server)->on_message([&](message m) {
    (met.value() ? b : a) = m.from();
    met.add();
  });
  w.connect();
  must(w.peer.send(head.bytes()));
  must(w.peer.send(head.bytes()));
  REQUIRE(met.reaches(2));
  CHECK(a == b);
  CHECK(a.valid());
  CHECK_FALSE(kfx::peer().valid());
}

TEST_CASE("one descriptor serves the program's own event loop", "[connect]") {
  options o = server_options(progress::caller);
  node server(o);
  std::uint64_t seen = 0;
  server.on_message([&](message m) {
    ++seen;
    m.reply(m.header());
  });
  host client(client_options());
  const kfx::peer p = client->at(uri_of(server));
  std::array<std::byte, 16> answer{};
  for (std::uint64_t i = 1; i <= 50; ++i) {
    auto call = p.send(head.bytes(), {}, {.reply = answer});
    const auto end = clock::now() + patience;
    while (!call.ready() && clock::now() < end) {
      // Nothing but the descriptor tells when to poll; an answer that is on its way back needs none.
      pollfd fd{server.fd(), POLLIN, 0};
      if (::poll(&fd, 1, 5) == 1)
        while (server.poll() > 0) {
        }
    }
    must(call);
    REQUIRE(seen == i);
  }
}

TEST_CASE("a node says what it is", "[connect]") {
  world w;
  w.connect();
  CHECK((*w.server)->addresses().size() >= 1);
  CHECK_FALSE((*w.server)->explain().empty());
  CHECK((*w.server)->id().size() == 32);
  CHECK((*w.server)->id() != (*w.client)->id());
  CHECK(std::string(version()).find('.') != std::string::npos);
  const auto list = backends();
  CHECK(list.size() >= 2);
  for (const backend_info& b : list) CHECK((b.available || !b.why.empty()));
}

}  // namespace kfx::test
