// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Promise 2: after the result neither the library nor hardware touches the op's memory, whichever way the op
/// ended and wherever it stood. On the result the source is poisoned and the sink forbidden; poison must never
/// arrive anywhere, and nothing may fault or lose its connection over it.

#include <algorithm>
#include <deque>

#include "suite.hpp"

namespace kfx::test {
namespace {

constexpr std::size_t largest = 2u << 20;
constexpr std::byte untouched{0xa7};

/// Takes, reads and answers messages, and looks for poison in all of them.
class inspector {
 public:
  findings wrong;
  counter down;

  void serve(node& n) {
    n.on_message([this](message m) { take(std::move(m)); });
  }

 private:
  void take(message m) {
    struct transfer {
      message m;
      std::vector<std::byte> bytes;
    };
    auto x = std::make_shared<transfer>(transfer{std::move(m), {}});
    x->bytes.resize(x->m.payload_size());
    check(x->m.header(), "poison in a header");
    x->m.receive(x->bytes, [this, x](boost::system::error_code e, done d) {
      check(const_buffer(x->bytes).first(e ? 0 : d.bytes), "poison in a payload");
      if (!x->m.wants_reply()) return;
      x->m.reply(const_buffers{}, x->bytes, [x](boost::system::error_code, done) {});
    });
  }
  void check(const_buffer bytes, const char* what) {
    wrong.check(std::find(bytes.begin(), bytes.end(), poison) == bytes.end(), what);
  }
};

/// An op under way with its own memory.
struct subject {
  op<done> running;
  std::unique_ptr<guarded> source, sink;
};

/// Ends ops in every way and at every stage.
class storm {
 public:
  storm(world& w, std::string_view label) : w_(w), rng_(label) {}

  /// One more op begins, and perhaps one ends. `alone`: the peer stands still, so none may be waited for.
  void step(bool alone) {
    begin();
    while (running_.size() > rng_.below(12)) {
      std::swap(running_.front(), running_[rng_.below(running_.size())]);
      end(running_.front(), alone);
      running_.pop_front();
    }
  }
  void end_all(bool alone) {
    for (subject& s : running_) end(s, alone);
    running_.clear();
  }
  /// Nothing was written to a sink after its op's result.
  void check_sinks() {
    for (auto& sink : sinks_) {
      if (!forbidden(sink.get())) REQUIRE(sink->all(untouched));
    }
  }

 private:
  void begin() {
    const std::size_t n = rng_.size(largest);
    subject s;
    op_options o{.lane = static_cast<lane>(rng_.below(4))};
    if (rng_.one_in(4)) o.deadline = std::chrono::microseconds(rng_.size(5000));
    // Lanes are not ordered among each other, so each has its part of the memory.
    const std::size_t part = w_.memory.size() / 4;
    const std::size_t at = o.lane * part + rng_.below(part - n + 1);
    switch (rng_.below(4)) {
      case 0:
        s.source = filled(n);
        s.running = w_.peer.write(shuffled(*s.source), w_.remote.at(at, n), o);
        break;
      case 1:
        s.sink = std::make_unique<guarded>(n);
        s.running = w_.peer.read(shuffled_pieces(rng_, s.sink->span(), 20), w_.remote.at(at, n), o);
        break;
      case 2:
        s.source = filled(n + 64);
        s.running = w_.peer.send(s.source->part(0, 64), s.source->part(64, n), o);
        break;
      default:
        s.source = filled(n + 64);
        s.sink = std::make_unique<guarded>(n);
        o.reply = s.sink->span();
        s.running = w_.peer.send(s.source->part(0, 64), s.source->part(64, n), o);
    }
    running_.push_back(std::move(s));
  }
  std::unique_ptr<guarded> filled(std::size_t n) {
    auto g = std::make_unique<guarded>(n);
    const const_buffer bytes = noise(rng_, n);
    std::copy(bytes.begin(), bytes.end(), g->data());
    return g;
  }
  std::vector<const_buffer> shuffled(const guarded& g) {
    std::vector<const_buffer> list;
    for (const mutable_buffer& p : shuffled_pieces(rng_, g.span(), 20)) list.emplace_back(p);
    return list;
  }

  /// At a random moment the op gets its result, and from then on its memory is watched.
  void end(subject& s, bool alone) {
    spin();
    switch (rng_.below(alone ? 2 : 3)) {
      case 0:
        s.running = {};  // the destructor cancels and waits
        break;
      case 1:
        s.running.cancel();
        (void)outcome(s.running);
        break;
      default:
        (void)outcome(s.running);
    }
    if (s.source) {
      s.source->fill(poison);
      sources_.push_back(std::move(s.source));
    }
    if (s.sink) watch(std::move(s.sink));
    if (sources_.size() > 64) sources_.pop_front();
  }
  void watch(std::unique_ptr<guarded> sink) {
    // Half of them fault in user code when touched; a kernel that is told to write there shows in the other half.
    if (rng_.one_in(2)) {
      sink->forbid();
      forbidden_.push_back(sink.get());
    } else {
      sink->fill(untouched);
    }
    sinks_.push_back(std::move(sink));
    if (sinks_.size() <= 128) return;
    if (!forbidden(sinks_.front().get())) REQUIRE(sinks_.front()->all(untouched));
    std::erase(forbidden_, sinks_.front().get());
    sinks_.pop_front();
  }
  bool forbidden(const guarded* g) const {
    return std::find(forbidden_.begin(), forbidden_.end(), g) != forbidden_.end();
  }
  void spin() {
    const auto end = clock::now() + std::chrono::nanoseconds(rng_.size(400000));
    while (clock::now() < end) std::this_thread::yield();
  }

  world& w_;
  random_source rng_;
  std::deque<subject> running_;
  std::deque<std::unique_ptr<guarded>> sources_, sinks_;
  std::vector<const guarded*> forbidden_;
};

void watch_links(world& w, inspector& i) {
  (*w.client)->on_peer([&i](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) i.down.add();
  });
}

/// Everything the server's memory will ever hold is there; no poison and no lost link.
void drain_and_check(world& w, inspector& i) {
  for (lane l = 0; l < 4; ++l) must(w.peer.write(noise().first(8), w.remote.at(0, 8), {.lane = l}));
  CHECK_FALSE(w.memory.has(poison));
  i.wrong.require_none();
  if (!under_test().cuts()) CHECK(i.down.value() == 0);
}

}  // namespace

TEST_CASE("memory is quiet after cancel, deadline and destruction", "[memory]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  inspector i;
  world w(mode, 4 * largest);
  i.serve(**w.server);
  watch_links(w, i);
  w.connect();
  storm s(w, "memory");
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 8; n > 0; --n) s.step(false);
  s.end_all(false);
  drain_and_check(w, i);
  s.check_sinks();
}

TEST_CASE("memory is quiet while the peer stands still, and when it goes on", "[memory]") {
  INFO("seed " << process_seed());
  inspector i;
  world w(progress::threads, 4 * largest, [](options& server, options&) { server.progress = progress::caller; });
  i.serve(**w.server);
  watch_links(w, i);
  w.connect();
  storm s(w, "still");
  random_source rng("still peer");
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 200; n > 0; --n) {
    for (std::size_t k = rng.below(8); k > 0; --k) s.step(false);
    (*w.server).pause();
    for (std::size_t k = rng.between(1, 10); k > 0; --k) s.step(true);
    s.end_all(true);
    (*w.server).resume();
  }
  drain_and_check(w, i);
  s.check_sinks();
}

TEST_CASE("memory is quiet when the peer dies with ops under way", "[memory]") {
  INFO("seed " << process_seed());
  inspector i;
  random_source rng("peer dies");
  for (std::size_t n = std::min<std::size_t>(repeats("KFX_TEST_ROUNDS", 200) / 5, 40); n > 0; --n) {
    world w(progress::threads, 4 * largest);
    i.serve(**w.server);
    w.connect();
    storm s(w, "dying " + std::to_string(n));
    for (std::size_t k = rng.between(1, 30); k > 0; --k) s.step(false);
    w.server->destroy();
    s.end_all(true);
    CHECK_FALSE(w.memory.has(poison));
    s.check_sinks();
  }
  i.wrong.require_none();
}

TEST_CASE("memory is quiet when its own node goes", "[memory]") {
  INFO("seed " << process_seed());
  inspector i;
  random_source rng("node goes");
  for (std::size_t n = std::min<std::size_t>(repeats("KFX_TEST_ROUNDS", 200) / 5, 40); n > 0; --n) {
    world w(progress::threads, 4 * largest);
    i.serve(**w.server);
    w.connect();
    storm s(w, "going " + std::to_string(n));
    for (std::size_t k = rng.between(1, 30); k > 0; --k) s.step(false);
    w.client->destroy();
    s.end_all(true);
    w.server->destroy();
    CHECK_FALSE(w.memory.has(poison));
    s.check_sinks();
  }
  i.wrong.require_none();
}

TEST_CASE("a region that is gone is not touched", "[memory]") {
  INFO("seed " << process_seed());
  counter down;
  world w(progress::threads);
  (*w.server)->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) down.add();
  });
  w.connect();
  random_source rng("regions");
  std::deque<guarded> graves;
  guarded sink(3 << 20);
  for (std::size_t n = repeats("KFX_TEST_ROUNDS", 1000) / 5; n > 0; --n) {
    guarded& memory = graves.emplace_back(1 << 20);
    region r = (*w.server)->share(memory.span(), access::read_write);
    const remote_region token = r.token();
    batch all;
    for (lane l = 0; l < 3; ++l) {
      const std::size_t third = memory.size() / 3, at = l * third;
      all.add(w.peer.write(noise(rng, rng.size(third)), token.at(at), {.lane = l}));
      all.add(w.peer.read(sink.part(at, rng.size(third)), token.at(at), {.lane = l}));
    }
    const auto end = clock::now() + std::chrono::microseconds(rng.size(2000));
    while (clock::now() < end) std::this_thread::yield();
    r = {};
    memory.forbid();
    (void)all.complete(patience);
    REQUIRE(all.ready());
    for (std::size_t i = 0; i < all.size(); ++i) {
      INFO(all.explain(i));
      REQUIRE((all[i].has_value() || all[i].error() == errc::stale_region));
    }
    REQUIRE(error_of(w.peer.write(noise().first(8), token.at(0, 8))) == errc::stale_region);
    if (graves.size() > 32) graves.pop_front();
  }
  if (!under_test().cuts()) CHECK(down.value() == 0);
}

TEST_CASE("an offer that was withdrawn is not touched", "[memory]") {
  INFO("seed " << process_seed());
  std::mutex m;
  std::deque<op<done>> writes;
  counter down, seen;
  world w(progress::threads);
  (*w.server)->on_message([&](message msg) {
    const auto token = remote_region::decode(msg.header());
    if (!token) return;
    auto o = msg.from().write(noise().first(token->length()), *token, {.lane = static_cast<lane>(seen.value() % 5)});
    std::lock_guard lock(m);
    writes.push_back(std::move(o));
    seen.add();
  });
  (*w.client)->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) down.add();
  });
  w.connect();
  random_source rng("offers withdrawn");
  std::deque<guarded> graves;
  for (std::size_t n = repeats("KFX_TEST_ROUNDS", 1000) / 3; n > 0; --n) {
    guarded& memory = graves.emplace_back(rng.size(1 << 20) + 1);
    {
      offer o = w.peer.offer(memory.span(), access::write);
      const auto header = o.token().encode();
      must(w.peer.send(header));
      const auto end = clock::now() + std::chrono::microseconds(rng.size(1000));
      while (clock::now() < end) std::this_thread::yield();
      if (rng.one_in(2)) {
        o.revoke();
        (void)outcome(o);
      }
    }
    memory.forbid();
    if (graves.size() > 64) graves.pop_front();
  }
  std::lock_guard lock(m);
  for (auto& o : writes) (void)outcome(o);
  writes.clear();
  if (!under_test().cuts()) CHECK(down.value() == 0);
}

}  // namespace kfx::test
