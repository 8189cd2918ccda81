// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "links/link_suite.hpp"

namespace kfx::test {
namespace {

/// Sends by the window what fits a whole frame, else by post; false: no room.
bool submit(side& from, const frame& f, backend::cookie id) {
  if (f.head.size() + f.body.size() <= backend::whole_limit && id % 2 == 0) return from.build(f);
  return from.post(f, id);
}

/// `Buffer`s over poison: what must never arrive.
void poison(bytes& b) { std::ranges::fill(b, std::byte{0xdb}); }

}  // namespace

void frames_in_order(const link_place& place) {
  rng r(seed_for("frames_in_order"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  constexpr std::size_t count = 400;
  std::deque<frame> kept;  // sources of posts stay unchanged until the end
  std::size_t checked = 0;
  bool same = true;
  REQUIRE(turn_until(a, b, [&] {
    while (kept.size() < count) {
      kept.push_back(random_frame(r, random_size(r, mib)));
      if (submit(a, kept.back(), kept.size())) continue;
      kept.pop_back();
      break;
    }
    for (; !b.seen.frames.empty(); ++checked) {
      same = same && b.seen.frames.front() == kept[checked];
      b.seen.frames.pop_front();
    }
    return checked == count;
  }));
  CHECK(same);
  CHECK(a.seen.frames.empty());
}

void windows_hold_bursts(const link_place& place) {
  rng r(seed_for("windows_hold_bursts"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  const auto& caps = a.link.caps();
  REQUIRE(caps.max_window >= backend::whole_limit);
  constexpr std::size_t count = 20000;
  std::deque<frame> sent;
  std::size_t made = 0, largest = 0;
  bool same = true;
  REQUIRE(turn_until(a, b, [&] {
    for (auto window = a.link.reserve(128); made < count && !window.empty(); window = a.link.reserve(128)) {
      REQUIRE(window.size() >= 128);
      std::size_t used = 0, burst = 0, end = 0;
      for (; made < count && used + 128 <= window.size(); ++burst, ++made) {
        sent.push_back(random_frame(r, r() % 57));
        const frame& f = sent.back();
        std::ranges::copy(f.head, window.begin() + static_cast<std::ptrdiff_t>(used));
        std::ranges::copy(f.body, window.begin() + static_cast<std::ptrdiff_t>(used + f.head.size()));
        end = used + f.head.size() + f.body.size();
        used = (end + caps.align - 1) / caps.align * caps.align;
      }
      a.link.commit(end);
      largest = std::max(largest, burst);
      if (r() % 4 == 0) break;
    }
    for (; !b.seen.frames.empty(); b.seen.frames.pop_front(), sent.pop_front())
      same = same && b.seen.frames.front() == sent.front();
    return made == count && sent.empty();
  }));
  CHECK(same);
  CHECK(largest > 1);
}

void pressure_and_room(const link_place& place) {
  rng r(seed_for("pressure_and_room"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  std::deque<frame> sent;
  // 100 refusals in a row: faults refuse now and then only, a full link always.
  for (int refused = 0; refused < 100 && sent.size() < 20000;) {
    const frame f = random_frame(r, 8000);
    if (a.build(f)) {
      sent.push_back(f);
      refused = 0;
    } else {
      REQUIRE_FALSE(a.link.flush(a.seen));
      ++refused;
    }
  }
  REQUIRE(sent.size() < 20000);  // 160 MB and nobody reads: it never said "full"
  const std::size_t before = sent.size();
  bool same = true;
  REQUIRE(turn_until(a, b, [&] {
    for (; !b.seen.frames.empty(); b.seen.frames.pop_front(), sent.pop_front())
      same = same && b.seen.frames.front() == sent.front();
    return sent.empty();
  }));
  CHECK(same);
  CHECK(before > 0);
  const frame last = random_frame(r, 100);
  REQUIRE(turn_until(a, b, [&] { return a.build(last); }));
  REQUIRE(turn_until(a, b, [&] { return !b.seen.frames.empty(); }));
  CHECK(b.seen.frames.front() == last);
}

void every_post_reported_once(const link_place& place) {
  rng r(seed_for("every_post_reported_once"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  constexpr std::size_t count = 300;
  std::deque<frame> kept;
  REQUIRE(turn_until(a, b, [&] {
    while (kept.size() < count) {
      kept.push_back(random_frame(r, random_size(r, 256 * 1024)));
      if (a.post(kept.back(), kept.size())) continue;
      kept.pop_back();
      break;
    }
    return b.seen.frames.size() == count && a.seen.sent.size() == count;
  }));
  for (int i = 0; i < 100; ++i) a.turn(), b.turn();  // a second report would come now
  for (const auto& [id, times] : a.seen.sent) CHECK(times == 1);
  CHECK(std::ranges::equal(b.seen.frames, kept));
  // A refused post took nothing, so nothing else is reported.
  CHECK(a.seen.sent.begin()->first == 1);
  CHECK(a.seen.sent.rbegin()->first == count);
}

void quiesced_sources_are_not_read(const link_place& place) {
  rng r(seed_for("quiesced_sources_are_not_read"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  std::size_t taken_back = 0;
  for (std::size_t round = 0; round < 40; ++round) {
    std::deque<frame> kept, expected;
    const backend::cookie first = 1000 * (round + 1);
    for (std::size_t i = 0; i < 4; ++i) {
      kept.push_back(random_frame(r, 1 + random_size(r, mib - 1)));
      REQUIRE(turn_until(a, [&] { return a.post(kept.back(), first + i); }));
      expected.push_back(kept.back());
    }
    for (std::size_t turns = r() % 4; turns > 0; --turns) a.turn(), b.turn();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const int reported = a.seen.sent.contains(first + i);
      if (!a.link.quiesce(first + i)) {
        REQUIRE(turn_until(a, [&] { return a.seen.quiet.contains(first + i); }));
        CHECK(a.seen.quiet[first + i] == 1);
      }
      poison(kept[i].body);
      taken_back += reported == 0;
      if (!reported) a.seen.sent[first + i] = -1;  // any later report shows
    }
    REQUIRE(turn_until(a, b, [&] { return b.seen.frames.size() == expected.size(); }));
    CHECK(std::ranges::equal(b.seen.frames, expected));
    b.seen.frames.clear();
    for (int i = 0; i < 10; ++i) a.turn(), b.turn();
    for (const auto& [id, times] : a.seen.sent) CHECK((times == 1 || times == -1));
  }
  CHECK(taken_back > 0);
  CHECK(a.link.quiesce(77));  // unknown: quiet
}

void diverted_landing_is_not_written(const link_place& place) {
  rng r(seed_for("diverted_landing_is_not_written"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  std::size_t diverted = 0;
  for (backend::cookie round = 1; round <= 16; ++round) {
    const frame large = random_frame(r, mib), after = random_frame(r, 64);
    pages landing(mib);
    const mutable_buffer into = landing.all();
    b.seen.landing = [&](std::size_t) { return std::span(&into, 1); };
    const std::size_t begun = b.seen.bulks, done = b.seen.bulks_done;
    REQUIRE(turn_until(a, [&] { return a.post(large, round); }));
    REQUIRE(turn_until(a, b, [&] { return b.seen.bulks > begun; }));
    if (b.seen.in_bulk()) {
      b.link.divert();
      landing.take_away();
      ++diverted;
    }
    REQUIRE(turn_until(a, b, [&] { return b.seen.bulks_done > done; }));
    REQUIRE(turn_until(a, [&] { return a.build(after); }));
    REQUIRE(turn_until(a, b, [&] { return !b.seen.frames.empty(); }));
    CHECK(b.seen.frames.front() == after);
    b.seen.frames.clear();
  }
  CHECK(diverted > 0);
}

void short_landings(const link_place& place) {
  rng r(seed_for("short_landings"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  for (backend::cookie round = 1; round <= 30; ++round) {
    const frame large = random_frame(r, 64 * 1024 + random_size(r, mib - 64 * 1024));
    const std::size_t fits = random_size(r, large.body.size() - 1);
    bytes memory(large.body.size() + 64, std::byte{0x5a});
    // In up to four pieces with gaps between them, so that a landing's bounds are tested inside as well.
    std::vector<mutable_buffer> into;
    for (std::size_t at = 0, left = fits; left > 0;) {
      const std::size_t piece = into.size() == 3 ? left : 1 + r() % left;
      into.push_back(mutable_buffer(memory).subspan(at, piece));
      at += piece + (into.size() < 4 ? 16 : 0);
      left -= piece;
    }
    b.seen.landing = [&](std::size_t size) {
      CHECK(size == large.body.size());
      return std::span<const mutable_buffer>(into);
    };
    const std::size_t done = b.seen.bulks_done;
    REQUIRE(turn_until(a, [&] { return a.post(large, round); }));
    REQUIRE(turn_until(a, b, [&] { return b.seen.bulks_done > done; }));
    bytes landed, rest = memory;
    for (const mutable_buffer& piece : into) {
      landed.insert(landed.end(), piece.begin(), piece.end());
      std::fill_n(rest.begin() + (piece.data() - memory.data()), piece.size(), std::byte{0x5a});
    }
    CHECK(landed == bytes(large.body.begin(), large.body.begin() + static_cast<std::ptrdiff_t>(fits)));
    CHECK(std::ranges::all_of(rest, [](std::byte x) { return x == std::byte{0x5a}; }));
  }
}

void close_fences_sources_and_landings(const link_place& place) {
  rng r(seed_for("close_fences_sources_and_landings"));
  for (int round = 0; round < 16; ++round) {
    connected pair(place);
    side a(pair.a()), b(pair.b());
    pages source(mib), landing(mib);
    const frame head_only = random_frame(r, mib);
    const mutable_buffer into = landing.all();
    const const_buffer from = source.all();
    b.seen.landing = [&](std::size_t) { return std::span(&into, 1); };
    REQUIRE(turn_until(a, [&] { return a.link.post(head_only.head, std::span(&from, 1), 1); }));
    for (std::size_t turns = r() % 4; turns > 0; --turns) a.turn(), b.turn();
    side& first = round % 2 ? a : b;
    side& second = round % 2 ? b : a;
    first.link.close();
    (round % 2 ? source : landing).take_away();
    for (int i = 0; i < 50; ++i) second.turn();
    CHECK(first.link.flush(first.seen));
    CHECK(first.link.poll(first.seen, 1).error);
    CHECK(first.link.reserve(64).empty());
    CHECK(first.link.quiesce(1));
    second.link.close();
    (round % 2 ? landing : source).take_away();
    first.link.close();  // idempotent
  }
}

namespace {

/// Closes its link from inside one of its calls. What it is called for afterwards is counted.
struct closing_sink : recorder {
  enum call { at_frame, at_bulk, at_bulk_done, at_sent };
  closing_sink(backend::link& l, call c) : link(l), when(c) {}

  bool on_frame(const_buffer head, const_buffer body) override {
    const bool good = recorder::on_frame(head, body);
    called(at_frame);
    return good;
  }
  std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t size) override {
    const auto landing = recorder::on_bulk(head, size);
    called(at_bulk);
    return landing;
  }
  bool on_bulk_done() override {
    const bool good = recorder::on_bulk_done();
    called(at_bulk_done);
    return good;
  }
  void on_sent(backend::cookie) override { called(at_sent); }

  void called(call c) {
    late += closed;
    if (c != when || closed) return;
    closed = true;
    link.close();
  }

  backend::link& link;
  const call when;
  bool closed = false;
  std::size_t late = 0;
};

}  // namespace

void close_from_inside(const link_place& place) {
  rng r(seed_for("close_from_inside"));
  for (const auto when :
       {closing_sink::at_frame, closing_sink::at_bulk, closing_sink::at_bulk_done, closing_sink::at_sent}) {
    connected pair(place);
    side a(pair.a());
    closing_sink b(pair.b(), when);
    // What comes behind lies ready when the link is closed.
    std::deque<frame> frames;
    const auto say = [&](backend::link& link, std::size_t body) {
      const frame& f = frames.emplace_back(random_frame(r, body));
      const const_buffer from(f.body);
      // A link that refuses now and then is asked again.
      for (int i = 0; i < 1000; ++i)
        if (link.post(f.head, std::span(&from, 1), frames.size())) return true;
      return false;
    };
    for (const std::size_t body : {100, 20'000, 100, 100}) {
      REQUIRE(say(a.link, body));
      REQUIRE(say(b.link, 100));
    }
    for (int i = 0; i < 10; ++i) a.turn();
    // A link that brings no large body apart has no such calls.
    const auto over = [&] { return b.closed || b.frames.size() == 4; };
    REQUIRE(turn_until(a, [&] { return over() || b.link.poll(b, 64).error || over() || b.link.flush(b); }));
    CHECK((b.closed || (b.bulks == 0 && when != closing_sink::at_frame)));
    CHECK((!b.closed || (b.link.poll(b, 64).error && b.link.flush(b))));
    CHECK(b.late == 0);
  }
}

void closed_while_armed(const link_place& place) {
  connected pair(place);
  side a(pair.a());
  (void)a.link.arm();
  a.link.close();
  CHECK(a.link.poll(a.seen, 1).error);
  CHECK(a.link.arm().fd < 0);
}

void close_is_noticed(const link_place& place) {
  rng r(seed_for("close_is_noticed"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  const frame f = random_frame(r, 10);
  REQUIRE(turn_until(a, [&] { return a.build(f); }));
  REQUIRE(turn_until(a, b, [&] { return !b.seen.frames.empty(); }));
  CHECK_FALSE(a.link.describe().empty());
  pair.drop(0);
  REQUIRE(turn_until(b, [&] { return bool(b.error); }));
  CHECK(b.seen.frames.size() == 1);
  for (int i = 0; i < 100; ++i) CHECK(b.link.poll(b.seen, 8).error);  // dead stays dead
}

}  // namespace kfx::test
