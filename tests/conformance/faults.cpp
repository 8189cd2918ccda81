// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Promise 4 under fire: links that are cut anywhere, acks that are lost, connections that come double. Run by the
/// backends that do that to themselves.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// Links lost so far, as the client hears of it.
struct losses {
  counter down;
  void watch(node& n) {
    n.on_peer([this](const kfx::peer&, peer_event e) {
      if (e == peer_event::down) down.add();
    });
  }
};

/// Counts effects by id.
struct ledger {
  explicit ledger(std::size_t most) : times(most) {}
  std::vector<std::atomic<std::uint32_t>> times;
  std::atomic<std::uint64_t> strange{0};
  void effect(std::uint64_t id) {
    if (id < times.size())
      ++times[id];
    else
      ++strange;
  }
  /// Every op that succeeded had its effect once; failed ones at most once.
  void check(const std::vector<bool>& succeeded) const {
    CHECK(strange == 0);
    for (std::size_t i = 0; i < succeeded.size(); ++i) {
      INFO("effect " << i << " happened " << times[i] << " times, its op " << (succeeded[i] ? "succeeded" : "failed"));
      REQUIRE(times[i] <= 1);
      if (succeeded[i]) REQUIRE(times[i] == 1);
    }
  }
};

constexpr std::size_t most_ops = 2000000;

std::size_t wanted_cuts() {
  // `repeats` scales down for these backends; here cuts are what it is about.
  if (const char* text = std::getenv("KFX_TEST_CUTS"); text && *text) return std::strtoull(text, nullptr, 10);
  return sanitized ? 60 : 1000;
}

/// Keeps `depth` ops under way until the client lost its link often enough, or time is up; each must succeed.
template <class Start>
std::size_t under_fire(losses& l, std::size_t depth, Start start) {
  struct entry {
    op<done> running;
    std::size_t number;
  };
  std::deque<entry> running;
  const auto end = clock::now() + (sanitized ? 30s : 12s);
  const std::size_t wanted = wanted_cuts();
  std::size_t n = 0;
  while (l.down.value() < wanted && clock::now() < end && n < most_ops) {
    running.push_back({start(n), n});
    ++n;
    if (running.size() < depth) continue;
    INFO("op " << running.front().number << " after " << l.down.value() << " cuts");
    must(running.front().running);
    running.pop_front();
  }
  for (entry& e : running) must(e.running);
  std::printf("conformance-%s: %zu ops, %llu cuts\n", under_test().name.c_str(), n,
              static_cast<unsigned long long>(l.down.value()));
  // Fewer cuts than asked for is a slow machine; none is a test of nothing.
  CHECK(l.down.value() >= std::min<std::size_t>(wanted, 5));
  return n;
}

}  // namespace

TEST_CASE("messages have their effect exactly once, whatever is lost", "[faults][cuts]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  ledger effects(most_ops);
  losses l;
  findings wrong;
  world w(mode);
  (*w.server)->on_message([&](message m) {
    effects.effect(tag::of(m).id);
    if (m.wants_reply()) m.reply(m.header());
  });
  l.watch(**w.client);
  w.connect({}, true);
  random_source rng("exactly once");
  constexpr std::size_t depth = 16;
  std::array<tag, depth> headers{};
  std::array<std::array<std::byte, sizeof(tag)>, depth> answers{};
  const std::size_t n = under_fire(l, depth, [&](std::size_t i) {
    headers[i % depth] = {1, i};
    op_options o{.lane = static_cast<lane>(rng.below(3))};
    if (rng.one_in(2)) o.reply = answers[i % depth];
    return w.peer.send(headers[i % depth].bytes(), noise(rng, rng.size(20000)), o);
  });
  effects.check(std::vector<bool>(n, true));
}

TEST_CASE("notifications come exactly once and a replay brings no old bytes back", "[faults][cuts]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  constexpr std::size_t slots = 32, size = 20000;
  constexpr std::byte altered{0xee};
  ledger effects(most_ops);
  losses l;
  findings wrong;
  std::array<std::atomic<std::uint64_t>, slots> told{};
  random_source rng("old bytes");
  std::array<const_buffer, slots> sent{};
  std::array<std::size_t, slots> place{};
  world w(mode, slots * size);
  (*w.server)->on_notify([&](const notification& n, const kfx::peer&) {
    effects.effect(n.imm);
    const mutable_buffer range = w.memory.part(n.offset, n.length);
    const std::size_t slot = n.imm % slots;
    wrong.check(same(sent[slot], range), "a notification found other bytes than its own write's");
    // The owner acts on the data. From now on these bytes are its own.
    std::fill(range.begin(), range.end(), altered);
    told[slot] = n.imm + 1;
  });
  l.watch(**w.client);
  w.connect({}, true);
  const auto unchanged = [&](std::size_t slot) {
    const mutable_buffer range = w.memory.part(place[slot], sent[slot].size());
    return std::all_of(range.begin(), range.end(), [](std::byte b) { return b == altered; });
  };
  const std::size_t n = under_fire(l, 8, [&](std::size_t i) {
    const std::size_t slot = i % slots;
    if (i >= slots) {
      // Its op succeeded many rounds ago; the handler may still be on its way.
      eventually([&] { return told[slot] == i - slots + 1; }, "a notification");
      if (!unchanged(slot)) wrong.add("old bytes came back after write " + std::to_string(i - slots));
    }
    sent[slot] = noise(rng, rng.size(size - 1));
    place[slot] = slot * size;
    return w.peer.write(sent[slot], w.remote.at(place[slot], sent[slot].size()),
                        {.notify = i, .lane = static_cast<lane>(rng.below(3))});
  });
  for (std::size_t i = n > slots ? n - slots : 0; i < n; ++i)
    eventually([&] { return told[i % slots] == i + 1; }, "the last notifications");
  for (std::size_t slot = 0; slot < std::min(n, slots); ++slot)
    if (!unchanged(slot)) wrong.add("old bytes came back at the end");
  effects.check(std::vector<bool>(n, true));
  wrong.require_none();
}

TEST_CASE("reads, writes and payloads are whole after any number of cuts", "[faults][cuts]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  constexpr std::size_t slots = 8, size = 1 << 20;
  losses l;
  findings wrong;
  counter wrong_takes;
  world w(mode, slots * size);
  (*w.server)->on_message([&](message m) {
    auto kept = std::make_shared<message>(std::move(m));
    auto into = std::make_shared<std::vector<std::byte>>(kept->payload_size());
    kept->receive(*into, [&, kept, into](boost::system::error_code e, done d) {
      const tag t = tag::of(*kept);
      wrong.check(!e && d.bytes == into->size() && same(noise().subspan(t.what, into->size()), *into),
                  "a payload arrived broken");
    });
  });
  l.watch(**w.client);
  w.connect({}, true);
  random_source rng("whole");
  std::vector<std::byte> sink(slots * size);
  std::array<tag, slots> headers{};
  struct expectation {
    const_buffer bytes;
    bool read = false;
  };
  std::array<expectation, slots> expected{};
  const auto check_slot = [&](std::size_t slot) {
    const expectation& x = expected[slot];
    if (x.bytes.empty()) return;
    wrong.check(same(x.bytes, w.memory.part(slot * size, x.bytes.size())), "a write arrived broken");
    if (x.read) wrong.check(same(x.bytes, mutable_buffer(sink).subspan(slot * size, x.bytes.size())), "a read broke");
  };
  under_fire(l, slots, [&](std::size_t i) {
    const std::size_t slot = i % slots;
    check_slot(slot);
    const std::size_t n = rng.size(rng.one_in(5) ? size : 30000);
    const op_options o{.lane = static_cast<lane>(rng.below(3))};
    const bool had = !expected[slot].bytes.empty();
    switch (rng.below(3)) {
      case 0:
        if (had) {
          expected[slot].read = true;
          return w.peer.read(mutable_buffer(sink).subspan(slot * size, expected[slot].bytes.size()),
                             w.remote.at(slot * size, expected[slot].bytes.size()), o);
        }
        [[fallthrough]];
      case 1:
        expected[slot] = {noise(rng, n), false};
        return w.peer.write(expected[slot].bytes, w.remote.at(slot * size, n), o);
      default: {
        const std::size_t from = rng.below(noise().size() - n);
        headers[slot] = {from, i};
        return w.peer.send(headers[slot].bytes(), noise().subspan(from, n), o);
      }
    }
  });
  for (std::size_t slot = 0; slot < slots; ++slot) check_slot(slot);
  wrong.require_none();
}

TEST_CASE("order survives cuts", "[faults][cuts]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  constexpr std::size_t lanes = 4, slots = 16, size = 10000;
  losses l;
  findings wrong;
  std::array<std::atomic<std::uint64_t>, lanes> next{};
  random_source rng("order under fire");
  std::mutex m;
  std::array<const_buffer, lanes * slots> sent{};
  world w(mode, lanes * slots * size);
  (*w.server)->on_message([&](message msg) {
    const tag t = tag::of(msg);
    wrong.check(next[msg.lane()]++ == t.id, "messages of a lane came out of order");
    std::lock_guard lock(m);
    const std::size_t place = msg.lane() * slots + t.id % slots;
    wrong.check(same(sent[place], w.memory.part(place * size, sent[place].size())), "a message overtook its write");
  });
  l.watch(**w.client);
  w.connect({}, true);
  std::array<std::uint64_t, lanes> number{};
  std::array<tag, lanes * slots> headers{};
  under_fire(l, 12, [&](std::size_t i) {
    // Even: a write; odd: the message that follows it on the same lane.
    const auto ln = static_cast<lane>(i / 2 % lanes);
    const std::size_t place = ln * slots + number[ln] % slots;
    if (i % 2 == 0) {
      std::lock_guard lock(m);
      sent[place] = noise(rng, rng.size(size));
      return w.peer.write(sent[place], w.remote.at(place * size, sent[place].size()), {.lane = ln});
    }
    headers[place] = {1, number[ln]++};
    return w.peer.send(headers[place].bytes(), {}, {.lane = ln});
  });
  wrong.require_none();
}

TEST_CASE("offers and calls survive cuts", "[faults][cuts]") {
  INFO("seed " << process_seed());
  losses l;
  ledger effects(most_ops);
  findings wrong;
  world w;
  // The server writes into the offer that came with the call, then answers.
  (*w.server)->on_message([&](message m) {
    effects.effect(tag::of(m).id);
    const auto token = remote_region::decode(m.header().subspan(sizeof(tag)));
    wrong.check(token.has_value(), "a token arrived broken");
    if (!token) return;
    auto kept = std::make_shared<message>(std::move(m));
    kept->from().write(noise().first(token->length()), *token, {}, [&, kept](boost::system::error_code e, done) {
      wrong.check(!e, "a write into an offer failed");
      kept->reply(kept->header());
    });
  });
  l.watch(**w.client);
  w.connect({}, true);
  random_source rng("offers under fire");
  constexpr std::size_t depth = 8;
  struct round_trip {
    std::vector<std::byte> memory;
    offer o;
    std::array<std::byte, sizeof(tag) + remote_region::encoded_size> header, answer;
  };
  std::array<round_trip, depth> trips{};
  const std::size_t n = under_fire(l, depth, [&](std::size_t i) {
    round_trip& t = trips[i % depth];
    if (t.o.valid()) {
      wrong.check(must(t.o).bytes == t.memory.size(), "an offer ended with another length");
      wrong.check(same(noise().first(t.memory.size()), t.memory), "an offer holds other bytes");
    }
    t.memory.assign(rng.size(100000) + 1, std::byte{0});
    t.o = w.peer.offer(t.memory, access::write);
    const tag head{1, i};
    const auto token = t.o.token().encode();
    std::copy_n(head.bytes().begin(), sizeof(tag), t.header.begin());
    std::copy(token.begin(), token.end(), t.header.begin() + sizeof(tag));
    return w.peer.send(t.header, {}, {.reply = t.answer});
  });
  for (round_trip& t : trips)
    if (t.o.valid()) must(t.o);
  effects.check(std::vector<bool>(n, true));
  wrong.require_none();
}

TEST_CASE("giving up under fire leaves memory quiet", "[faults][cuts]") {
  INFO("seed " << process_seed());
  losses l;
  findings wrong;
  // Few credits, so that one that is lost now and then is missed in the end.
  world w(progress::threads, 8 << 20, [](options& server, options& client) { server.credits = client.credits = 8; });
  w.memory.fill(std::byte{0});
  (*w.server)->on_message([&](message m) {
    auto kept = std::make_shared<message>(std::move(m));
    auto into = std::make_shared<std::vector<std::byte>>(kept->payload_size());
    kept->receive(*into, [&, kept, into](boost::system::error_code e, done d) {
      wrong.check(e || std::find(into->begin(), into->begin() + static_cast<std::ptrdiff_t>(d.bytes), poison) ==
                           into->begin() + static_cast<std::ptrdiff_t>(d.bytes),
                  "poison in a payload");
    });
  });
  l.watch(**w.client);
  w.connect({}, true);
  random_source rng("giving up");
  const auto end = clock::now() + (sanitized ? 30s : 12s);
  const tag head{1, 0};
  std::size_t rounds = 0;
  for (; l.down.value() < wanted_cuts() && clock::now() < end; ++rounds) {
    guarded source(rng.size(1 << 20) + 1), sink(rng.size(1 << 20) + 1);
    source.fill(std::byte{1});
    {
      auto a = w.peer.write(source.span(), w.remote.at(0, source.size()));
      auto b = w.peer.read(sink.span(), w.remote.at(4 << 20, sink.size()), {.lane = 1});
      auto c = w.peer.send(head.bytes(), source.span(), {.lane = 2});
      const auto until = clock::now() + std::chrono::microseconds(rng.size(3000));
      while (clock::now() < until) std::this_thread::yield();
    }
    source.fill(poison);
    sink.forbid();
    if (rng.one_in(4)) must(w.peer.write(noise().first(8), w.remote.at(8, 8), {.lane = 3}));
  }
  must(w.peer.write(noise().first(8), w.remote.at(0, 8), {.notify = 1}));
  CHECK(rounds > 0);
  CHECK_FALSE(w.memory.has(poison));
  wrong.require_none();
}

}  // namespace kfx::test
