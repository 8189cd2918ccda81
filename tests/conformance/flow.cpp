// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Promise 1: no queue in sight, and bounded memory: receivers that stop, all credits taken, shutdown under load.

#include <unistd.h>

#include <fstream>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// Resident memory of this process.
std::size_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, pages = 0;
  statm >> total >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// A world whose server the test can halt.
std::unique_ptr<world> haltable(const std::function<void(options&, options&)>& change = {}) {
  return std::make_unique<world>(progress::threads, 1 << 20, [&](options& server, options& client) {
    server.progress = progress::caller;
    if (change) change(server, client);
  });
}

}  // namespace

TEST_CASE("a receiver that stops bounds its sender's memory and nobody else's progress", "[flow]") {
  counter seen, done_with, other_seen;
  guarded payload(64 << 10);
  payload.fill(std::byte{1});
  host other(server_options());
  other->on_message([&](message) { other_seen.add(); });
  const auto w = haltable();
  (*w->server)->on_message([&](message) { seen.add(); });
  w->connect();
  const kfx::peer running = (*w->client)->at(uri_of(*other));
  must(running.send(head.bytes()));
  must(w->peer.send(head.bytes()));
  w->server->pause();
  const std::size_t before = resident();
  const std::size_t count = repeats("KFX_TEST_OPS", 20000);
  for (std::size_t i = 0; i < count; ++i) {
    w->peer.send(head.bytes(), payload.span(), {.lane = static_cast<lane>(i % 4)},
                 [&](boost::system::error_code e, done) {
                   if (!e) done_with.add();
                 });
    if (i % 100 == 0) must(running.send(head.bytes(), payload.span()));
  }
  for (int i = 0; i < 100; ++i) must(running.send(head.bytes(), payload.span()));
  const std::size_t after = resident();
  // 256 B an op and what one link may hold; the payloads would be 1.2 GiB.
  if (!sanitized) CHECK(after < before + count * 512 + (48u << 20));
  CHECK(done_with.value() < count);
  w->server->resume();
  CHECK(done_with.reaches(count));
  CHECK(seen.value() == count + 1);
}

TEST_CASE("past max_ops a submitting thread waits, and everything ends", "[flow]") {
  constexpr std::size_t most = 64, total = 1000;
  counter submitted, ended;
  host other(server_options());
  host bystander(client_options());
  const auto w = haltable([](options&, options& client) { client.max_ops = most; });
  (*w->server)->on_message([](message) {});
  w->connect();
  const kfx::peer clock_peer = bystander->at(uri_of(*other));
  other->on_message([](message) {});
  w->server->pause();
  std::thread submitter([&] {
    for (std::size_t i = 0; i < total; ++i) {
      w->peer.send(head.bytes(), noise().first(100), {}, [&](boost::system::error_code, done) { ended.add(); });
      submitted.add();
    }
  });
  const bool filled = submitted.reaches(most / 2);
  for (int i = 0; i < 300; ++i) must(clock_peer.send(head.bytes()));
  const std::uint64_t high = submitted.value();
  w->server->resume();
  const bool all = ended.reaches(total);
  if (!all) w->client->destroy();
  submitter.join();
  CHECK(filled);
  CHECK(high <= most);
  CHECK(all);
}

TEST_CASE("handlers are not blocked by max_ops", "[flow]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  constexpr std::size_t burst = 200;
  counter arrived;
  std::atomic<std::size_t> started{0};
  world w(mode, 4096, [](options& server, options& client) { server.max_ops = client.max_ops = 16; });
  (*w.client)->on_message([&](message) { arrived.add(); });
  (*w.server)->on_message([&](message m) {
    for (std::size_t i = 0; i < burst; ++i) {
      m.from().send(head.bytes(), {}, {.lane = 3}).detach();
      ++started;
    }
  });
  w.connect();
  // The handler returns although it started far more than max_ops.
  must(w.peer.send(head.bytes()));
  CHECK(started == burst);
  CHECK(arrived.reaches(burst));
}

TEST_CASE("two nodes that answer each other with all credits taken", "[flow]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const std::size_t total = repeats("KFX_TEST_OPS", 10000) / 4;
  counter ended;
  findings wrong;
  std::vector<std::array<std::byte, 64>> a_answers(total), b_answers(total);
  options o = server_options(mode), p = server_options(mode);
  o.credits = p.credits = 4;
  host a(o), b(p);
  const auto answer = [](message m) { m.reply(noise().first(32), noise().first(32)).detach(); };
  a->on_message(answer);
  b->on_message(answer);
  const kfx::peer to_b = a->at(uri_of(*b)), to_a = b->at(uri_of(*a));
  const auto submit = [&](const kfx::peer& to, auto& answers) {
    for (std::size_t i = 0; i < total; ++i)
      to.send(head.bytes(), noise().first(i % 300), {.lane = static_cast<lane>(i % 3), .reply = answers[i]},
              [&](boost::system::error_code e, done d) {
                wrong.check(!e && d.bytes == 64, "a call failed");
                ended.add();
              });
  };
  std::thread other([&] { submit(to_a, b_answers); });
  submit(to_b, a_answers);
  const bool all = ended.reaches(2 * total);
  other.join();
  CHECK(all);
  wrong.require_none();
  a.destroy();
  b.destroy();
}

TEST_CASE("one credit is enough for everything", "[flow]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter told;
  world w(mode, 1 << 20, [](options& server, options& client) { server.credits = client.credits = 1; });
  (*w.server)->on_message([](message m) {
    if (m.wants_reply()) m.reply(m.header());
  });
  (*w.server)->on_notify([&](const notification&, const kfx::peer&) { told.add(); });
  w.connect();
  std::vector<std::array<std::byte, 16>> answers(200);
  std::vector<std::byte> into(200000);
  batch all;
  for (std::size_t i = 0; i < 200; ++i) {
    all.add(w.peer.send(head.bytes(), noise().first(i * 100), {.lane = static_cast<lane>(i), .reply = answers[i]}));
    all.add(w.peer.write(noise().first(200000), w.remote.at(0, 200000), {.notify = i, .lane = 1}));
    all.add(w.peer.read(into, w.remote.at(300000, into.size()), {.lane = 1}));
  }
  CHECK(all.complete(patience).has_value());
  REQUIRE(all.ready());
  CHECK(told.reaches(200));
}

TEST_CASE("what is given up half-way gives its credit back", "[flow]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const bool harsh = under_test().cuts() && GENERATE(false, true);
  INFO("seed " << process_seed());
  constexpr std::size_t most = 8 << 20;
  random_source rng("given up");
  world w(mode, most, [](options& server, options& client) { server.credits = client.credits = 3; });
  (*w.server)->on_message([](message m) {
    if (m.wants_reply()) m.reply(m.header());
  });
  w.connect({}, harsh);
  std::vector<std::byte> into(most);
  std::array<std::byte, 64> answer;
  for (int i = 0; i < 100; ++i) {
    const std::size_t n = rng.one_in(2) ? most : rng.size(most);
    op<done> o;
    switch (rng.below(4)) {
      case 0:
        o = w.peer.write(noise().first(n), w.remote.at(0, n), {.notify = 1});
        break;
      case 1:
        o = w.peer.read(mutable_buffer(into).first(n), w.remote.at(0, n));
        break;
      case 2:
        o = w.peer.send({}, noise().first(n));
        break;
      default:
        o = w.peer.send(head.bytes(), noise().first(n % 2000), {.reply = answer});
    }
    (void)o.complete(std::chrono::microseconds(rng.size(3000)));
    o.cancel();
    (void)outcome(o);
  }
  std::array<op<done>, 3> all;
  for (lane i = 0; i < 3; ++i) all[i] = w.peer.write(noise().first(9), w.remote.at(0, 9), {.notify = 1, .lane = i});
  for (auto& o : all) must(o);
}

TEST_CASE("a node that goes under traffic ends each op once", "[flow]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  random_source rng("shutdown");
  for (std::size_t n = std::min<std::size_t>(repeats("KFX_TEST_ROUNDS", 200) / 4, 50); n > 0; --n) {
    constexpr std::size_t count = 200;
    std::vector<std::atomic<int>> called(count);
    std::vector<std::array<std::byte, 16>> answers(count);
    guarded into(1 << 20);
    findings wrong;
    std::vector<op<done>> handles;
    {
      world w(mode);
      (*w.server)->on_message([](message m) { m.reply(m.header()); });
      w.connect();
      for (std::size_t i = 0; i < count; ++i) {
        w.peer.send(head.bytes(), noise().first(rng.size(50000)),
                    {.lane = static_cast<lane>(i % 3), .reply = answers[i]}, [&, i](boost::system::error_code e, done) {
                      wrong.check(!e || std::error_code(e) == errc::node_stopped, "another error than node_stopped");
                      ++called[i];
                    });
        if (i % 4 == 0) handles.push_back(w.peer.read(into.span(), w.remote, {.lane = 8}));
      }
      const auto end = clock::now() + std::chrono::microseconds(rng.size(3000));
      while (clock::now() < end) std::this_thread::yield();
      w.client->destroy();
      into.forbid();
      for (std::size_t i = 0; i < count; ++i) REQUIRE(called[i] == 1);
      for (auto& h : handles) {
        REQUIRE(h.ready());
        REQUIRE((h.result().has_value() || h.result().error() == errc::node_stopped));
      }
    }
    // Handles, peers and tokens that outlive the node.
    for (auto& h : handles) CHECK_FALSE(h.explain().empty());
    wrong.require_none();
  }
}

TEST_CASE("verbs on a node that is gone end with node_stopped", "[flow]") {
  world w;
  w.connect();
  kfx::peer p = w.peer;
  const region kept = (*w.client)->share(guarded(16).span().first(0), access::read);
  w.client->destroy();
  CHECK(error_of(p.write(noise().first(8), w.remote.at(0, 8))) == errc::node_stopped);
  CHECK(error_of(p.open("memory")) == errc::node_stopped);
  CHECK_FALSE(p.connected());
  CHECK_FALSE(p.uri().empty());
}

TEST_CASE("the server goes under traffic: its client's ops end, and their deadline holds", "[flow]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  std::array<std::byte, 16> answer{};
  std::vector<std::byte> into(1 << 20);
  world w(mode, 2 << 20);
  (*w.server)->on_message([](message m) { m.reply(m.header()); });
  w.connect();
  const remote_region written = w.remote.at(0, 1 << 20), read = w.remote.at(1 << 20, 1 << 20);
  std::vector<op<done>> ops;
  for (int i = 0; i < 100; ++i) {
    ops.push_back(w.peer.write(noise().first(1 << 20), written, {.deadline = 3s, .lane = static_cast<lane>(i % 3)}));
    ops.push_back(w.peer.read(into, read, {.deadline = 3s, .lane = 5}));
  }
  w.server->destroy();
  const auto begin = clock::now();
  for (auto& o : ops) (void)outcome(o);
  CHECK(clock::now() - begin < patience);
  CHECK(error_of(w.peer.send(head.bytes(), {}, {.deadline = 100ms, .reply = answer})));
}

TEST_CASE("the program drives its nodes itself", "[flow]") {
  counter seen;
  options s = server_options(progress::caller), c = client_options(progress::caller);
  node server(s), client(c);
  server.on_message([&](message m) { m.reply(m.header()); });
  const kfx::peer p = client.at(uri_of(server));
  std::array<std::byte, 16> answer{};
  SECTION("poll on one thread") {
    auto o = p.send(head.bytes(), {}, {.reply = answer});
    const auto end = clock::now() + patience;
    while (!o.ready() && clock::now() < end) {
      server.poll();
      client.poll();
    }
    REQUIRE(o.ready());
    CHECK(o.result().has_value());
    bool called = false;
    p.send(head.bytes(), {}, {.reply = answer}, [&](boost::system::error_code, done) { called = true; });
    while (!called && clock::now() < end) {
      server.poll();
      client.poll();
    }
    CHECK(called);
  }
  SECTION("run and stop") {
    std::thread runner([&] { server.run(); });
    for (int i = 0; i < 100; ++i) must(p.send(head.bytes(), {}, {.reply = answer}));
    server.stop();
    runner.join();
    server.run_for(1ms);
    std::thread again([&] { server.run(); });
    must(p.send(head.bytes(), {}, {.reply = answer}));
    server.stop();
    again.join();
  }
}

}  // namespace kfx::test
