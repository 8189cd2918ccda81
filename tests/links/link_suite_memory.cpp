// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "links/link_suite.hpp"

namespace kfx::test {
namespace {

/// One one-sided operation after the other, each awaited.
struct accessor {
  side& from;
  side& peer;
  reported memory = from.direct();
  backend::cookie last = 0;

  /// Starts it and turns both ends until it ended; its status.
  template <class Start>
  std::error_code run(Start&& start) {
    const backend::cookie id = ++last;
    REQUIRE(turn_until(from, peer, [&] { return start(id); }));
    REQUIRE(turn_until(from, peer, [&] { return from.seen.direct.contains(id); }));
    REQUIRE(from.seen.direct[id].size() == 1);
    return from.seen.direct[id].front();
  }
  std::error_code put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> source) {
    return run([&](backend::cookie id) { return memory.put(key, offset, source, id); });
  }
  std::error_code get(backend::direct_key key, std::uint64_t offset, std::span<const mutable_buffer> into) {
    return run([&](backend::cookie id) { return memory.get(key, offset, into, id); });
  }
  std::error_code flush() {
    return run([&](backend::cookie id) { return memory.flush(id); });
  }
};

/// `all` in at most `most` pieces of random sizes.
template <class Buffer>
std::vector<Buffer> split(rng& r, Buffer all, std::size_t most) {
  std::vector<Buffer> pieces;
  while (!all.empty() && pieces.size() + 1 < most) {
    const std::size_t n = 1 + r() % all.size();
    pieces.push_back(all.first(n));
    all = all.subspan(n);
  }
  if (!all.empty()) pieces.push_back(all);
  return pieces;
}

backend::direct_key shared(side& owner, std::span<const mutable_buffer> memory, access rights) {
  const auto key = owner.link.direct()->share(memory, rights, backend::sharing::lasting);
  REQUIRE(key.has_value());
  CHECK(*key != 0);
  return *key;
}
backend::direct_key shared(side& owner, mutable_buffer memory, access rights) {
  return shared(owner, std::span(&memory, 1), rights);
}

std::vector<const_buffer> one(const bytes& b) { return {const_buffer(b)}; }

}  // namespace

void direct_moves_bytes(const link_place& place) {
  rng r(seed_for("direct_moves_bytes"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  accessor use{a, b};
  const auto& caps = use.memory.caps();
  bytes model = random_bytes(r, 2 * mib);
  pages owned(model.size(), place.allocated);
  std::ranges::copy(model, owned.begin());
  const auto exported = split(r, owned.all(), caps.max_export_fragments);
  const backend::direct_key key = shared(b, exported, access::read_write);
  const std::size_t most = std::min<std::size_t>(mib, caps.max_bytes);
  for (int round = 0; round < 300; ++round) {
    const std::size_t size = random_size(r, most);
    const std::size_t offset = r() % (model.size() - size + 1);
    if (r() % 2) {
      const bytes source = random_bytes(r, size);
      CHECK_FALSE(use.put(key, offset, split(r, const_buffer(source), caps.max_fragments)));
      std::ranges::copy(source, model.begin() + static_cast<std::ptrdiff_t>(offset));
    } else {
      bytes got(size);
      CHECK_FALSE(use.get(key, offset, split(r, mutable_buffer(got), caps.max_fragments)));
      CHECK(std::equal(got.begin(), got.end(), model.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
  }
  CHECK_FALSE(use.flush());
  CHECK(owned.holds(model));
  if (caps.atomic8) {
    const bytes word = random_bytes(r, 8);
    CHECK_FALSE(use.put(key, 4096, one(word)));
    CHECK_FALSE(use.flush());
    CHECK(std::equal(word.begin(), word.end(), owned.begin() + 4096));
  }
}

void direct_checks_bounds_and_rights(const link_place& place) {
  rng r(seed_for("direct_checks_bounds_and_rights"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  accessor use{a, b};
  const bytes before = random_bytes(r, 1000);
  pages owned(before.size(), place.allocated);
  std::ranges::copy(before, owned.begin());
  const auto readable = shared(b, owned.all(), access::read);
  const auto writable = shared(b, owned.all(), access::write);
  CHECK(readable != writable);
  const bytes source = random_bytes(r, 100);
  bytes got(100), untouched = got;
  CHECK(use.put(readable, 0, one(source)) == errc::access_denied);
  CHECK(use.get(writable, 0, std::vector{mutable_buffer(got)}) == errc::access_denied);
  CHECK(use.put(writable, 901, one(source)) == errc::out_of_bounds);
  CHECK(use.put(writable, 1001, one(source)) == errc::out_of_bounds);
  CHECK(use.put(writable, ~std::uint64_t{0} - 50, one(source)) == errc::out_of_bounds);
  CHECK(use.get(readable, 950, std::vector{mutable_buffer(got)}) == errc::out_of_bounds);
  CHECK(use.put(writable ^ 0x5a5a0000, 0, one(source)) == errc::stale_region);
  CHECK(use.put(0, 0, one(source)) == errc::stale_region);
  // The owner's own keys mean nothing in the other direction.
  CHECK(accessor{b, a}.put(writable, 0, one(source)) == errc::stale_region);
  b.link.direct()->withdraw(writable);
  b.link.direct()->withdraw(writable);  // once more is harmless
  CHECK(use.put(writable, 0, one(source)) == errc::stale_region);
  CHECK(shared(b, owned.all(), access::write) != writable);
  CHECK(owned.holds(before));
  CHECK((got == untouched));
  CHECK_FALSE(use.get(readable, 900, std::vector{mutable_buffer(got)}));
  CHECK(std::equal(got.begin(), got.end(), owned.begin() + 900));
}

void direct_before_frames(const link_place& place) {
  rng r(seed_for("direct_before_frames"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  accessor use{a, b};
  pages owned(mib, place.allocated);
  const auto key = shared(b, owned.all(), access::write);
  const std::size_t most = std::min<std::size_t>(256 * 1024, use.memory.caps().max_bytes) - 1;
  for (int round = 0; round < 100; ++round) {
    const bytes source = random_bytes(r, 1 + random_size(r, most));
    const backend::cookie id = ++use.last;
    REQUIRE(turn_until(a, b, [&] { return use.memory.put(key, 0, one(source), id); }));
    if (!use.memory.caps().placed_before_frames) CHECK_FALSE(use.flush());
    const frame f = random_frame(r, 8);
    REQUIRE(turn_until(a, b, [&] { return a.build(f); }));
    REQUIRE(turn_until(a, b, [&] { return !b.seen.frames.empty(); }));
    b.seen.frames.clear();
    CHECK(std::equal(source.begin(), source.end(), owned.begin()));
    REQUIRE(turn_until(a, b, [&] { return a.seen.direct.contains(id); }));
    CHECK_FALSE(a.seen.direct[id].front());
  }
}

void direct_quiesce(const link_place& place) {
  rng r(seed_for("direct_quiesce"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  accessor use{a, b};
  pages owned(4096, place.allocated);
  std::ranges::fill(owned, std::byte{1});
  const auto key = shared(b, owned.all(), access::read_write);
  for (int round = 0; round < 100; ++round) {
    bytes source(4096, std::byte{2});
    const backend::cookie put = ++use.last, get = ++use.last;
    pages into(4096);
    const mutable_buffer sink = into.all();
    REQUIRE(turn_until(a, b, [&] { return use.memory.put(key, 0, one(source), put); }));
    REQUIRE(turn_until(a, b, [&] { return use.memory.get(key, 0, std::span(&sink, 1), get); }));
    for (std::size_t turns = r() % 6; turns > 0; --turns) a.turn(), b.turn();
    for (const backend::cookie id : {get, put}) {
      const std::size_t reported = a.seen.direct[id].size();
      const bool quiet = a.link.quiesce(id);
      const auto asked = std::chrono::steady_clock::now();
      if (!quiet) {
        REQUIRE(turn_until(a, [&] { return a.seen.quiet.contains(id); }));
        // Twice the bound and half a second: the machine may be busy.
        CHECK(std::chrono::steady_clock::now() - asked <
              2 * a.link.caps().quiesce_bound + std::chrono::milliseconds(500));
      }
      if (id == get) into.take_away();
      if (id == put) std::ranges::fill(source, std::byte{0xdb});
      for (int i = 0; i < 5; ++i) a.turn(), b.turn();
      CHECK(a.seen.direct[id].size() == reported);
    }
    CHECK_FALSE(use.flush());
    CHECK(std::ranges::none_of(owned, [](std::byte x) { return x == std::byte{0xdb}; }));
    std::ranges::fill(owned, std::byte{1});
  }
}

void withdraw_fences(const link_place& place) {
  rng r(seed_for("withdraw_fences"));
  connected pair(place);
  side a(pair.a()), b(pair.b());
  accessor use{a, b};
  const bytes source = random_bytes(r, 10000);
  bytes got(10000);
  const mutable_buffer into(got);
  for (int round = 0; round < 100; ++round) {
    pages owned(16384, place.allocated);
    const auto key = shared(b, owned.all(), access::read_write);
    std::vector<backend::cookie> ids;
    for (std::size_t i = 0; i < 4; ++i) {
      ids.push_back(++use.last);
      REQUIRE(turn_until(a, b, [&] {
        return i % 2 ? use.memory.get(key, 0, std::span(&into, 1), ids.back())
                     : use.memory.put(key, 4096, one(source), ids.back());
      }));
    }
    for (std::size_t turns = r() % 8; turns > 0; --turns) a.turn(), b.turn();
    b.link.direct()->withdraw(key);
    owned.take_away();
    // Whatever was under way ends, well or not.
    REQUIRE(turn_until(a, b,
                       [&] { return std::ranges::all_of(ids, [&](auto id) { return a.seen.direct.contains(id); }); }));
    CHECK(use.put(key, 0, one(source)) == errc::stale_region);
    CHECK(use.get(key, 0, std::span(&into, 1)) == errc::stale_region);
    use.flush();
  }
  // The link is as good as before.
  pages owned(10000, place.allocated);
  CHECK_FALSE(use.put(shared(b, owned.all(), access::write), 0, one(source)));
  CHECK_FALSE(use.flush());
  CHECK(owned.holds(source));
}

void close_fences_shared_memory(const link_place& place) {
  rng r(seed_for("close_fences_shared_memory"));
  for (int round = 0; round < 40; ++round) {
    connected pair(place);
    side a(pair.a()), b(pair.b());
    pages owned(16384, place.allocated), source(16384), sink(16384);
    const auto key = shared(b, owned.all(), access::read_write);
    const const_buffer from = source.all();
    const mutable_buffer into = sink.all();
    reported memory = a.direct();
    for (backend::cookie id = 1; id < 9; ++id) {
      REQUIRE(turn_until(a, b, [&] {
        return id % 2 ? memory.put(key, 0, std::span(&from, 1), id) : memory.get(key, 0, std::span(&into, 1), id);
      }));
    }
    for (std::size_t turns = r() % 8; turns > 0; --turns) a.turn(), b.turn();
    if (round % 2) {
      b.link.close();
      owned.take_away();
      for (int i = 0; i < 50; ++i) {
        memory.put(key, 0, std::span(&from, 1), 100);
        a.turn();
      }
      const auto refused = b.link.direct()->share(std::span(&into, 1), access::read, backend::sharing::lasting);
      CHECK_FALSE(refused.has_value());
    }
    a.link.close();
    source.take_away();
    sink.take_away();
    CHECK_FALSE(memory.put(key, 0, std::span(&from, 1), 101));
    for (int i = 0; i < 50; ++i) b.turn();
    b.link.close();
    if (round % 2 == 0) owned.take_away();
    a.turn();
  }
}

}  // namespace kfx::test
