// SPDX-License-Identifier: BSD-2-Clause
// The ring of lines with real words: chunks of every size on two threads, and a peer that writes what it likes.

#include "wire/line_ring.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "tests/base/seed.hpp"
#include "wire/ring_words.hpp"

using namespace kfx;
using namespace kfx::wire;
using namespace kfx_test;

namespace {

constexpr std::size_t capacity = 4096;
using writer = basic_ring_writer<ring_words>;
using reader = basic_ring_reader<ring_words>;

struct ring {
  alignas(ring_line) std::byte memory[capacity] = {};
  alignas(ring_line) ring_words::count freed = 0;
};

constexpr std::size_t large = 64 * 1024;
struct alignas(ring_line) large_ring {
  std::byte memory[large] = {};
  ring_words::count freed = 0;
};

/// What chunk number `i` holds at `at`.
std::byte content(std::uint64_t i, std::size_t at) { return static_cast<std::byte>(i * 131 + at * 7 + (at >> 8)); }

}  // namespace

TEST_CASE("chunks of every size arrive whole and in order") {
  const auto s = seed("line ring");
  constexpr std::uint64_t chunks = 200'000;
  const auto r = std::make_unique<ring>();
  std::thread sender([&] {
    rng random(s);
    writer w(r->memory, r->freed);
    for (std::uint64_t i = 0; i < chunks; ++i) {
      const std::size_t bytes = 1 + log_uniform(random, 20) % w.max_chunk();
      const std::size_t more = below(random, 100);
      std::span<std::byte> place;
      while ((place = w.reserve(bytes, bytes + more)).empty() && !w.broken()) std::this_thread::yield();
      if (w.broken() || place.size() < bytes) break;
      for (std::size_t at = 0; at < bytes; ++at) place[at] = content(i, at);
      w.publish(i % 3 ? chunk_kind::frames : chunk_kind::body, bytes);
    }
  });
  rng random(s);
  reader in(r->memory, r->freed);
  std::uint64_t i = 0;
  bool right = true;
  for (; i < chunks && right && !in.broken(); ++i) {
    const std::size_t bytes = 1 + log_uniform(random, 20) % (capacity / 8 * 3 - 8);
    (void)below(random, 100);
    std::optional<reader::chunk> c;
    while (!(c = in.front()) && !in.broken()) {
      in.give_back();
      std::this_thread::yield();
    }
    if (!c) break;
    right = c->bytes.size() == bytes && c->kind == (i % 3 ? chunk_kind::frames : chunk_kind::body);
    for (std::size_t at = 0; at < bytes && right; ++at) right = c->bytes[at] == content(i, at);
    in.pop();
  }
  if (i < chunks) ring_words::store(r->freed, 1);  // no count of lines: the sender gives up
  sender.join();
  CHECK(right);
  CHECK_FALSE(in.broken());
  CHECK(i == chunks);
}

TEST_CASE("a ring is full with one line to spare, and empty again") {
  ring r;
  writer w(r.memory, r.freed);
  reader in(r.memory, r.freed);
  unsigned n = 0;
  while (!w.reserve(40, 40).empty()) {
    w.publish(chunk_kind::frames, 40);
    ++n;
  }
  CHECK(n == capacity / ring_line - 1);
  CHECK_FALSE(w.drained());
  for (; n > 0; --n) {
    REQUIRE(in.front());
    in.pop();
  }
  CHECK(in.empty());
  CHECK_FALSE(in.front());
  in.give_back();
  CHECK(w.drained());
  CHECK_FALSE(w.reserve(w.max_chunk(), w.max_chunk()).empty());
  CHECK_FALSE(w.broken());
}

TEST_CASE("while the reader keeps up, chunks stay in the first part of the ring") {
  rng random(seed("short lap"));
  ring r;
  writer w(r.memory, r.freed);
  reader in(r.memory, r.freed);
  std::size_t farthest = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t bytes = 1 + below(random, 200);
    const auto place = w.reserve(bytes, capacity);
    REQUIRE(place.size() >= bytes);
    farthest = std::max(farthest, static_cast<std::size_t>(place.data() + bytes - r.memory));
    w.publish(chunk_kind::frames, bytes);
    REQUIRE(in.front());
    in.pop();
    CHECK_FALSE(in.front());
    in.give_back();
  }
  CHECK(farthest <= capacity / 2);
}

TEST_CASE("a burst finds room wherever a reader that keeps up has left the ring") {
  // Who began anew in the middle of a burst lost the rest of the ring: half of all starting points had room for a
  // fifth. At the few where a lap ends the writer cannot know that a burst begins.
  const std::size_t small = GENERATE(8u, 40u, 56u);
  constexpr std::size_t starts = 4096, lines = large / ring_line;
  std::size_t least = lines, short_of_half = 0;
  for (std::size_t start = 0; start < starts; ++start) {
    const auto r = std::make_unique<large_ring>();
    writer w(r->memory, r->freed);
    reader in(r->memory, r->freed);
    bool kept_up = true;
    for (std::size_t i = 0; i < start && kept_up; ++i) {
      kept_up = !w.reserve(small, small).empty();
      w.publish(chunk_kind::frames, small);
      kept_up = kept_up && in.front();
      in.pop();
      in.give_back();  // as at the end of a poll
    }
    REQUIRE(kept_up);
    std::size_t fit = 0;
    for (; fit < lines && !w.reserve(40, 40).empty(); ++fit) w.publish(chunk_kind::frames, 40);
    least = std::min(least, fit);
    short_of_half += fit < lines / 2;
  }
  CHECK(least >= lines / 8);
  CHECK(short_of_half <= starts / 50);
}

TEST_CASE("a long row of chunks stays near, and waits for the reader rather than fill the ring") {
  rng random(seed("near"));
  const auto r = std::make_unique<large_ring>();
  writer w(r->memory, r->freed);
  reader in(r->memory, r->freed);
  std::size_t farthest = 0, unread = 0;
  for (int i = 0; i < 20'000; ++i) {
    const bool row = below(random, 4) != 0;
    const std::size_t bytes = 1 + below(random, static_cast<std::uint32_t>(row ? w.max_near() : 200));
    auto place = row ? w.reserve_near(bytes) : w.reserve(bytes, bytes);
    if (place.empty()) {
      // The reader catches up: that is room for any of them.
      for (; unread != 0; --unread) {
        REQUIRE(in.front());
        in.pop();
      }
      CHECK_FALSE(in.front());
      in.give_back();
      place = row ? w.reserve_near(bytes) : w.reserve(bytes, bytes);
      REQUIRE(place.size() >= bytes);
    }
    if (row) farthest = std::max(farthest, static_cast<std::size_t>(place.data() + bytes - r->memory));
    w.publish(row ? chunk_kind::body : chunk_kind::frames, bytes);
    ++unread;
    if (unread > 4 && below(random, 3) == 0) {
      REQUIRE(in.front());
      in.pop();
      --unread;
    }
  }
  CHECK(farthest <= 20 * 1024);
  CHECK_FALSE(w.broken());
  CHECK_FALSE(in.broken());
}

TEST_CASE("a reader that counts what was never written breaks its own ring only") {
  const std::uint64_t lie = GENERATE(std::uint64_t{ring_line}, std::uint64_t{1}, ~std::uint64_t{63}, 1ull << 40);
  ring r;
  writer w(r.memory, r.freed);
  ring_words::store(r.freed, lie);
  CHECK(w.reserve(capacity, capacity).empty());  // looks at the count
  CHECK(w.broken());
  ring_words::store(r.freed, 0);
  CHECK(w.broken());
}

TEST_CASE("whatever stands in a ring, nothing outside of it is handed over") {
  rng random(seed("hostile ring"));
  const auto r = std::make_unique<ring>();
  for (int round = 0; round < 20'000; ++round) {
    // Mostly words that look right.
    for (std::size_t at = 0; at < capacity; at += ring_line) {
      const auto kind = static_cast<chunk_kind>(below(random, 8) ? below(random, 4) : random());
      std::uint64_t word = ring_word(kind, log_uniform(random, below(random, 8) ? 12 : 32));
      if (below(random, 20) == 0) word = 0;
      std::memcpy(r->memory + at, &word, sizeof word);
    }
    reader in(r->memory, r->freed);
    for (int taken = 0; taken < 200; ++taken) {
      const auto c = in.front();
      if (!c) break;
      REQUIRE(c->bytes.data() >= r->memory);
      REQUIRE(!c->bytes.empty());
      REQUIRE(c->bytes.data() + c->bytes.size() <= r->memory + capacity);
      REQUIRE((c->kind == chunk_kind::frames || c->kind == chunk_kind::body));
      in.pop();
    }
  }
}
