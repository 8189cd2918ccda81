// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Promise 3: on a lane, effects become visible in the order submitted; lanes do not wait for each other.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>

#include "suite.hpp"

namespace kfx::test {
namespace {

constexpr std::size_t slots = 8;
constexpr std::size_t slot_size = 1 << 20;

/// What slot `id % slots` has to hold when the news of write `id` arrives.
struct expectation {
  std::mutex m;
  std::map<std::uint64_t, const_buffer> of;
  findings wrong;
  counter news;

  void expect(std::uint64_t id, const_buffer bytes) {
    std::lock_guard lock(m);
    of[id] = bytes;
  }
  void arrived(std::uint64_t id, const guarded& memory) {
    const_buffer bytes;
    {
      std::lock_guard lock(m);
      bytes = of[id];
    }
    if (!same(bytes, memory.part(id % slots * slot_size, bytes.size())))
      wrong.add("news " + std::to_string(id) + " overtook its write of " + std::to_string(bytes.size()));
    news.add();
  }
};

/// Writes a slot and then tells about it, again and again, without waiting in between.
void write_and_tell(world& w, expectation& x, std::string_view label, bool by_notify) {
  random_source rng(label);
  std::array<tag, slots> headers{};
  std::deque<op<done>> running;
  const std::size_t rounds = repeats("KFX_TEST_OPS", 10000) / 10;
  for (std::uint64_t id = 0; id < rounds; ++id) {
    // A slot is used again when its last news was seen.
    if (id >= slots && !x.news.reaches(id - slots + 1)) FAIL("news " << id - slots << " never came");
    while (running.size() >= 2 * slots - 1) {
      must(running.front());
      running.pop_front();
    }
    const const_buffer bytes = noise(rng, rng.size(slot_size));
    x.expect(id, bytes);
    const op_options o{.lane = 3};
    running.push_back(w.peer.write(bytes, w.remote.at(id % slots * slot_size, bytes.size()), o));
    headers[id % slots] = {1, id};
    if (by_notify) {
      running.push_back(w.peer.write(headers[id % slots].bytes(), w.remote.at(slots * slot_size, sizeof(tag)),
                                     {.notify = id, .lane = 3}));
    } else {
      running.push_back(w.peer.send(headers[id % slots].bytes(), {}, o));
    }
  }
  for (auto& o : running) must(o);
  CHECK(x.news.reaches(rounds));
  CHECK(x.news.value() == rounds);
  x.wrong.require_none();
}

}  // namespace

TEST_CASE("a notification never overtakes an earlier write", "[order]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  expectation x;
  world w(mode, slots * slot_size + sizeof(tag));
  (*w.server)->on_notify([&](const notification& n, const kfx::peer&) {
    x.wrong.check(n.in(w.shared) && n.offset == slots * slot_size && n.length == sizeof(tag), "a notification lies");
    x.arrived(n.imm, w.memory);
  });
  w.connect();
  write_and_tell(w, x, "notify", true);
}

TEST_CASE("a message never overtakes an earlier write", "[order]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  expectation x;
  world w(mode, slots * slot_size);
  (*w.server)->on_message([&](message m) { x.arrived(tag::of(m).id, w.memory); });
  w.connect();
  write_and_tell(w, x, "message", false);
}

TEST_CASE("the notification of a write finds that very write", "[order]") {
  expectation x;
  world w(progress::threads, slots * slot_size);
  INFO("seed " << process_seed());
  (*w.server)->on_notify([&](const notification& n, const kfx::peer&) { x.arrived(n.imm, w.memory); });
  w.connect();
  random_source rng("own notify");
  std::deque<op<done>> running;
  const std::size_t rounds = repeats("KFX_TEST_OPS", 10000) / 10;
  for (std::uint64_t id = 0; id < rounds; ++id) {
    if (id >= slots && !x.news.reaches(id - slots + 1)) FAIL("notification " << id - slots << " never came");
    if (running.size() == slots) {
      must(running.front());
      running.pop_front();
    }
    const const_buffer bytes = noise(rng, rng.size(slot_size));
    x.expect(id, bytes);
    running.push_back(w.peer.write(bytes, w.remote.at(id % slots * slot_size, bytes.size()), {.notify = id}));
  }
  for (auto& o : running) must(o);
  CHECK(x.news.reaches(rounds));
  x.wrong.require_none();
}

TEST_CASE("a read sees the earlier writes of its lane", "[order]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  world w(mode, slots * slot_size);
  w.connect();
  random_source rng("read after write");
  guarded sink(slots * slot_size);
  struct entry {
    op<done> write, read;
    const_buffer bytes;
    mutable_buffer into;
  };
  std::deque<entry> running;
  const auto finish = [&] {
    entry e = std::move(running.front());
    running.pop_front();
    must(e.write);
    must(e.read);
    REQUIRE(same(e.bytes, e.into));
  };
  op_id last_read = 0;
  for (std::uint64_t id = 0; id < repeats("KFX_TEST_OPS", 10000) / 10; ++id) {
    if (running.size() == slots) finish();
    const std::size_t n = rng.size(slot_size);
    const std::size_t at = id % slots * slot_size;
    entry e;
    e.bytes = noise(rng, n);
    e.into = sink.part(at, n);
    e.write = w.peer.write(e.bytes, w.remote.at(at, n), {.lane = 9});
    e.read = w.peer.read(e.into, w.remote.at(at, n), {.lane = 9});
    last_read = e.read.id();
    running.push_back(std::move(e));
  }
  CHECK(last_read != 0);
  while (!running.empty()) finish();
}

TEST_CASE("a write after a read of the same bytes is ordered by after", "[order]") {
  world w(progress::threads, slot_size);
  w.connect();
  random_source rng("write after read");
  INFO("seed " << process_seed());
  std::vector<std::byte> into(slot_size);
  for (int i = 0; i < 50; ++i) {
    const std::size_t n = rng.size(slot_size);
    const const_buffer before = noise(rng, n), behind = noise(rng, n);
    must(w.peer.write(before, w.remote.at(0, n)));
    auto read = w.peer.read(mutable_buffer(into).first(n), w.remote.at(0, n));
    auto write = w.peer.write(behind, w.remote.at(0, n), {.after = read.id()});
    must(write);
    must(read);
    REQUIRE(same(before, mutable_buffer(into).first(n)));
    REQUIRE(same(behind, w.memory.part(0, n)));
  }
}

TEST_CASE("messages of a lane are handled in order, for many lanes at once", "[order]") {
  constexpr std::size_t lanes = 200;
  std::array<std::atomic<std::uint64_t>, lanes> next{};
  findings wrong;
  counter seen;
  world w;
  (*w.server)->on_message([&](message m) {
    const tag t = tag::of(m);
    wrong.check(m.lane() == t.what, "a message came on another lane");
    wrong.check(next[t.what]++ == t.id, "messages of a lane were handled out of order");
    seen.add();
  });
  w.connect();
  random_source rng("lanes");
  INFO("seed " << process_seed());
  const std::size_t total = repeats("KFX_TEST_OPS", 10000);
  std::array<std::uint64_t, lanes> sent{};
  std::vector<tag> headers(total);
  batch all;
  for (std::size_t i = 0; i < total; ++i) {
    const auto l = static_cast<lane>(rng.below(lanes));
    headers[i] = {l, sent[l]++};
    all.add(w.peer.send(headers[i].bytes(), noise(rng, rng.size(rng.one_in(50) ? 100000 : 100)), {.lane = l}));
  }
  REQUIRE(all.complete(patience).has_value());
  CHECK(seen.value() == total);
  wrong.require_none();
}

TEST_CASE("a small message is not stuck behind a gigabyte on another lane", "[order]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  constexpr std::size_t piece = 64u << 20;
  world w(mode, piece);
  (*w.server)->on_message([](message m) { m.reply(m.header()); });
  w.connect();
  guarded source(piece);
  source.fill(std::byte{1});
  std::array<std::byte, 16> answer{};
  must(w.peer.send(tag{}.bytes(), {}, {.lane = 2, .reply = answer}));
  batch bulk;
  for (int i = 0; i < (sanitized ? 4 : 16); ++i) bulk.add(w.peer.write(source.span(), w.remote, {.lane = 1}));
  std::vector<double> times;
  while (!bulk.ready()) {
    const auto begin = clock::now();
    must(w.peer.send(tag{}.bytes(), {}, {.lane = 2, .reply = answer}));
    if (!bulk.ready()) times.push_back(std::chrono::duration<double, std::micro>(clock::now() - begin).count());
  }
  REQUIRE(bulk.complete(patience).has_value());
  CHECK(w.memory.all(std::byte{1}));
  // Had they waited for the bulk, none could have returned while it ran.
  CHECK(times.size() >= 3);
  std::sort(times.begin(), times.end());
  if (!times.empty())
    std::printf("conformance-%s: %zu calls beside the bulk, median %.0f us, p99 %.0f us\n", under_test().name.c_str(),
                times.size(), times[times.size() / 2], times[times.size() * 99 / 100]);
}

TEST_CASE("after: across lanes, what went before is visible", "[order]") {
  findings wrong;
  counter seen;
  std::mutex m;
  const_buffer expected;
  world w(progress::threads, slot_size);
  (*w.server)->on_message([&](message) {
    std::lock_guard lock(m);
    wrong.check(same(expected, w.memory.part(0, expected.size())), "an op began before the one it comes after");
    seen.add();
  });
  w.connect();
  random_source rng("after");
  INFO("seed " << process_seed());
  for (std::uint64_t i = 0; i < 200; ++i) {
    const const_buffer bytes = noise(rng, rng.size(slot_size));
    {
      std::lock_guard lock(m);
      expected = bytes;
    }
    auto first = w.peer.write(bytes, w.remote.at(0, bytes.size()), {.lane = 1});
    if (rng.one_in(3)) must(first);
    const tag h{1, i};
    auto second = w.peer.send(h.bytes(), {}, {.lane = 2, .after = first.id()});
    must(second);
    must(first);
    REQUIRE(seen.value() == i + 1);
  }
  wrong.require_none();
}

TEST_CASE("after: a long chain over many lanes runs link by link", "[order]") {
  std::atomic<std::uint64_t> next{0};
  findings wrong;
  world w;
  (*w.server)->on_message([&](message m) { wrong.check(next++ == tag::of(m).id, "the chain ran out of order"); });
  w.connect();
  constexpr std::size_t links = 500;
  std::vector<tag> headers(links);
  std::vector<op<done>> chain;
  for (std::size_t i = 0; i < links; ++i) {
    headers[i] = {1, i};
    chain.push_back(
        w.peer.send(headers[i].bytes(), {}, {.lane = static_cast<lane>(i % 17), .after = i ? chain.back().id() : 0}));
  }
  for (auto& o : chain) must(o);
  CHECK(next == links);
  wrong.require_none();
}

TEST_CASE("after: what depends on a failure fails without effect", "[order]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter seen;
  world w(mode);
  (*w.server)->on_message([&](message) { seen.add(); });
  w.connect();
  std::array<std::byte, 64> bytes{};
  w.memory.fill(std::byte{0});
  bytes.fill(std::byte{7});
  remote_region::fields f = w.remote.raw();
  f.key ^= 0x5555;
  auto bad = w.peer.write(bytes, remote_region(f), {.lane = 1});
  const tag h;
  auto second = w.peer.send(h.bytes(), {}, {.lane = 2, .after = bad.id()});
  auto third = w.peer.write(bytes, w.remote.at(0, 64), {.lane = 3, .after = second.id()});
  CHECK(error_of(bad));
  CHECK(error_of(second) == errc::dependency_failed);
  CHECK(error_of(third) == errc::dependency_failed);
  // Also when the failure is known already.
  CHECK(error_of(w.peer.send(tag{}.bytes(), {}, {.after = bad.id()})) == errc::dependency_failed);
  must(w.peer.send(tag{}.bytes(), {}, {.lane = 2}));
  CHECK(seen.value() == 1);
  CHECK(w.memory.all(std::byte{0}));
}

TEST_CASE("after: a cancelled op takes its dependants with it", "[order]") {
  gate door;
  counter seen;
  world w;
  (*w.server)->on_message([&](message m) {
    seen.add();
    if (tag::of(m).what == 1) door.pass();
  });
  w.connect();
  const tag first{1, 0}, second{2, 0};
  auto held = w.peer.send(first.bytes(), {}, {.lane = 1});
  REQUIRE(seen.reaches(1));
  auto behind = w.peer.send(second.bytes(), {}, {.lane = 2, .after = held.id()});
  held.cancel();
  CHECK(error_of(held) == errc::cancelled);
  CHECK(error_of(behind) == errc::dependency_failed);
  door.open();
  must(w.peer.send(tag{3, 0}.bytes(), {}, {.lane = 2}));
  CHECK(seen.value() == 2);
}

TEST_CASE("a failed op leaves a gap and the next ones proceed", "[order]") {
  counter seen;
  world w;
  (*w.server)->on_message([&](message) { seen.add(); });
  w.connect();
  std::vector<std::byte> bytes(100000, std::byte{9});
  const tag h;
  batch all;
  for (int i = 0; i < 100; ++i) {
    all.add(w.peer.write(bytes, w.remote.at(w.remote.length() - 5), {.lane = 4}));
    all.add(w.peer.write(bytes, w.remote.at(0, bytes.size()), {.lane = 4}));
    all.add(w.peer.send(h.bytes(), {}, {.lane = 4}));
  }
  (void)all.complete(patience);
  REQUIRE(all.ready());
  for (std::size_t i = 0; i < all.size(); ++i) {
    INFO("entry " << i << ": " << all.explain(i));
    if (i % 3 == 0)
      REQUIRE(all[i].error() == errc::out_of_bounds);
    else
      REQUIRE(all[i].has_value());
  }
  CHECK(seen.value() == 100);
}

TEST_CASE("thousands of lanes, and ops without order", "[order]") {
  counter seen;
  world w;
  (*w.server)->on_message([&](message) { seen.add(); });
  w.connect();
  const tag h;
  batch all;
  const std::size_t lanes = sanitized ? 1000 : 5000;
  for (std::size_t i = 0; i < lanes; ++i) {
    all.add(w.peer.send(h.bytes(), {}, {.lane = static_cast<lane>(i * 13)}));
    all.add(w.peer.write(noise().first(64), w.remote.at(i * 64, 64), {.lane = unordered}));
  }
  REQUIRE(all.complete(patience).has_value());
  CHECK(seen.value() == lanes);
  for (std::size_t i = 0; i < lanes; ++i) REQUIRE(same(noise().first(64), w.memory.part(i * 64, 64)));
}

}  // namespace kfx::test
