// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Handlers may block: other lanes, acks and keepalive go on. Results come exactly once, whoever races.

#include "suite.hpp"

namespace kfx::test {
namespace {

const tag block_it{1, 0};
const tag pass_it{2, 0};

/// Handlers of messages of kind 1 wait at the gate.
struct blocking_service {
  gate door;
  counter blocked, passed;
  void serve(node& n) {
    n.on_message([this](message m) {
      if (tag::of(m).what == 1) {
        blocked.add();
        door.pass();
      } else {
        passed.add();
      }
      if (m.wants_reply()) m.reply(m.header());
    });
  }
};

}  // namespace

TEST_CASE("a blocked handler stops neither lanes nor acks nor keepalive", "[handlers]") {
  blocking_service s;
  counter down;
  world w(progress::threads, 1 << 20, [](options& server, options& client) {
    server.keepalive = client.keepalive = 150ms;
    client.limit = server.limit = 2s;
  });
  s.serve(**w.server);
  (*w.client)->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) down.add();
  });
  w.connect();
  auto held = w.peer.send(block_it.bytes(), {}, {.lane = 1});
  REQUIRE(s.blocked.reaches(1));
  // Well past three unanswered probes and the limit without progress.
  const auto end = clock::now() + 3s;
  std::uint64_t rounds = 0;
  while (clock::now() < end) {
    must(w.peer.send(pass_it.bytes(), {}, {.lane = 2}));
    must(w.peer.write(noise().first(5000), w.remote.at(0, 5000), {.lane = 1}));
    ++rounds;
  }
  CHECK(rounds > 0);
  CHECK_FALSE(held.ready());
  if (!under_test().cuts()) CHECK(down.value() == 0);
  s.door.open();
  must(held);
}

TEST_CASE("a message let go of is acknowledged while its handler goes on", "[handlers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const auto pause = GENERATE(0ms, 30ms);  // until the engine's threads sleep, when there is one
  counter acked;
  findings problems;
  world w(mode);
  (*w.server)->on_message([&](message m) {
    const auto before = acked.value();
    std::this_thread::sleep_for(pause);
    m = {};
    problems.check(acked.reaches(before + 1), "the sender waits for the handler of a message that is done with");
  });
  w.connect();
  for (int i = 0; i < 3; ++i) {
    must(w.peer.send(head.bytes()));
    acked.add();
    must(w.peer.send(head.bytes(), {}, {.lane = 9}));
    acked.add();
  }
  problems.require_none();
}

TEST_CASE("an answer leaves while the handler that let go of its message goes on", "[handlers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter answered, acked;
  findings problems;
  world w(mode);
  (*w.server)->on_message([&](message m) {
    const auto before = answered.value(), ended = acked.value();
    const kfx::peer sender = m.from();
    m.let_go();
    sender.send(head.bytes()).detach();
    problems.check(answered.reaches(before + 1), "the answer waits for its handler's return");
    problems.check(acked.reaches(ended + 1), "the ack waits for its handler's return");
  });
  (*w.client)->on_message([&](message) { answered.add(); });
  w.connect();
  for (int i = 0; i < 6; ++i) {
    must(w.peer.send(head.bytes()));
    acked.add();
  }
  problems.require_none();
}

TEST_CASE("an op ends though the handler of the message that brought its ack blocks", "[handlers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter ended, arrived;
  findings problems;
  world w(mode);
  (*w.server)->on_message([](message m) {
    const kfx::peer sender = m.from();
    m.let_go();
    sender.send(head.bytes()).detach();
  });
  (*w.client)->on_message([&](message) {
    arrived.add();
    problems.check(ended.reaches(arrived.value()), "the op waits for the handler of the message that acknowledged it");
  });
  w.connect();
  for (unsigned i = 1; i <= 6; ++i) {
    must(w.peer.send(head.bytes()));
    ended.add();
    REQUIRE(arrived.reaches(i));
  }
  problems.require_none();
}

TEST_CASE("a silent link is kept alive while a handler blocks", "[handlers][steady]") {
  blocking_service s;
  counter down;
  world w(progress::threads, 4096,
          [](options& server, options& client) { server.keepalive = client.keepalive = 100ms; });
  s.serve(**w.server);
  (*w.client)->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) down.add();
  });
  w.connect();
  auto held = w.peer.send(block_it.bytes(), {}, {.lane = 1});
  REQUIRE(s.blocked.reaches(1));
  CHECK_FALSE(down.reaches(1, 1s));
  CHECK_FALSE(held.ready());
  s.door.open();
  must(held);
}

TEST_CASE("a handler may take longer than the limit, whatever the keepalive", "[handlers]") {
  const auto keepalive = GENERATE(900ms, 5000ms);
  INFO("keepalive " << keepalive.count() << " ms");
  blocking_service s;
  world w(progress::threads, 4096, [&](options& server, options& client) {
    server.keepalive = client.keepalive = keepalive;
    client.limit = 800ms;
  });
  s.serve(**w.server);
  w.connect();
  auto held = w.peer.send(block_it.bytes(), {}, {.lane = 1});
  REQUIRE(s.blocked.reaches(1));
  (void)held.complete(2s);
  CHECK_FALSE(held.ready());
  s.door.open();
  must(held);
}

TEST_CASE("as many handlers block at once as there are lanes", "[handlers]") {
  blocking_service s;
  world w;
  s.serve(**w.server);
  w.connect();
  constexpr std::size_t lanes = 48;
  batch all;
  for (std::size_t i = 0; i < lanes; ++i) all.add(w.peer.send(block_it.bytes(), {}, {.lane = static_cast<lane>(i)}));
  CHECK(s.blocked.reaches(lanes));
  must(w.peer.send(pass_it.bytes(), {}, {.lane = 500}));
  must(w.peer.write(noise().first(100), w.remote.at(0, 100), {.lane = 3}));
  CHECK_FALSE(all.ready());
  s.door.open();
  CHECK(all.complete(patience).has_value());
}

TEST_CASE("a blocked notification handler and a blocked callback stop nobody else", "[handlers]") {
  gate door;
  counter blocked, through;
  world w;
  (*w.server)->on_notify([&](const notification& n, const kfx::peer&) {
    if (n.imm == 1) {
      blocked.add();
      door.pass();
    }
    through.add();
  });
  w.connect();
  auto first = w.peer.write(noise().first(10), w.remote.at(0, 10), {.notify = 1, .lane = 1});
  REQUIRE(blocked.reaches(1));
  must(w.peer.write(noise().first(10), w.remote.at(0, 10), {.notify = 2, .lane = 2}));
  CHECK(through.reaches(1));
  w.peer.write(noise().first(10), w.remote.at(0, 10)).then([&](result<done>) {
    blocked.add();
    door.pass();
    through.add();
  });
  REQUIRE(blocked.reaches(2));
  for (int i = 0; i < 50; ++i) must(w.peer.write(noise().first(10), w.remote.at(0, 10), {.lane = 5}));
  door.open();
  must(first);
  CHECK(through.reaches(3));
}

TEST_CASE("a result comes once, whoever cancels meanwhile", "[handlers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const std::size_t total = repeats("KFX_TEST_OPS", 10000) / 5;
  findings wrong;
  std::atomic<std::uint64_t> cancelled{0};
  world w(mode);
  (*w.server)->on_message([](message m) { m.reply(m.header()); });
  w.connect();
  random_source rng("races");
  INFO("seed " << process_seed());
  std::array<std::byte, 64> answer{};
  for (std::size_t i = 0; i < total; ++i) {
    auto o = w.peer.send(pass_it.bytes(), noise().first(rng.size(30000)), {.reply = answer});
    std::atomic<int> turn{0};
    const std::uint64_t spins = rng.size(30000);
    std::thread other;
    if (rng.one_in(4)) {
      other = std::thread([&] {
        ++turn;
        o.cancel();
      });
    } else {
      for (std::uint64_t k = 0; k < spins; ++k) std::atomic_signal_fence(std::memory_order_seq_cst);
      o.cancel();
    }
    const auto e = error_of(o);
    if (other.joinable()) other.join();
    // What was said once is never taken back.
    wrong.check(error_of(o) == e, "the result changed");
    if (e == errc::cancelled)
      ++cancelled;
    else
      wrong.check(!e, "cancelling brought another error");
  }
  must(w.peer.send(pass_it.bytes(), {}, {.reply = answer}));
  wrong.require_none();
  UNSCOPED_INFO(cancelled << " of " << total << " were cancelled");
}

TEST_CASE("callbacks of ops that race with cancellation come once", "[handlers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const std::size_t total = repeats("KFX_TEST_OPS", 10000) / 5;
  std::vector<std::atomic<int>> called(total);
  counter through;
  world w(mode);
  (*w.server)->on_message([](message m) { m.reply(m.header()); });
  w.connect();
  random_source rng("callback races");
  INFO("seed " << process_seed());
  std::vector<std::array<std::byte, 64>> answers(total);
  for (std::size_t i = 0; i < total; ++i) {
    op_options o{.lane = static_cast<lane>(i % 7), .reply = answers[i]};
    if (rng.one_in(2)) o.deadline = std::chrono::microseconds(rng.size(2000));
    w.peer.send(pass_it.bytes(), {}, o, [&, i](boost::system::error_code, done) {
      ++called[i];
      through.add();
    });
  }
  CHECK(through.reaches(total));
  for (std::size_t i = 0; i < total; ++i) REQUIRE(called[i] == 1);
}

}  // namespace kfx::test
