// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Memory taken back from a process that is stopped in the middle of it, or killed there.

#include <sys/mman.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "links/link_suite.hpp"
#include "links/other_process.hpp"

using namespace kfx;
using namespace kfx::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t buffer_bytes = mib;
constexpr std::size_t piece = 256 * 1024;

/// What the child does: puts and gets all over whichever key it was told last, and says when it changed over.
void use_memory(backend::link& link) {
  side self(link);
  rng r(1);
  bytes source(piece, std::byte{0xdb}), into(piece);
  const const_buffer from(source);
  const mutable_buffer to(into);
  backend::direct_key key = 0;
  for (backend::cookie id = 1; !self.error; ++id) {
    if (key != 0) {
      const std::size_t offset = r() % (buffer_bytes / piece) * piece;
      if (r() % 2)
        self.direct().put(key, offset, std::span(&from, 1), id);
      else
        self.direct().get(key, offset, std::span(&to, 1), id);
    }
    self.turn();
    self.seen.direct.clear();
    while (!self.seen.frames.empty()) {
      std::memcpy(&key, self.seen.frames.front().body.data(), sizeof key);
      while (!self.error && !self.build(self.seen.frames.front())) self.turn();
      self.seen.frames.pop_front();
    }
  }
}

backend::direct_key share(side& owner, mutable_buffer memory, kfx::access rights = kfx::access::read_write) {
  const auto key = owner.link.direct()->share(std::span(&memory, 1), rights, backend::sharing::lasting);
  REQUIRE(key.has_value());
  return *key;
}

/// The child uses this key, and no other, when it returns.
void tell(side& self, backend::direct_key key) {
  rng r(2);
  frame f = random_frame(r, sizeof key);
  std::memcpy(f.body.data(), &key, sizeof key);
  REQUIRE(turn_until(self, [&] { return self.build(f); }));
  REQUIRE(turn_until(self, [&] { return !self.seen.frames.empty(); }));
  self.seen.frames.clear();
}

void spin(rng& r) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(r() % 300);
  while (std::chrono::steady_clock::now() < until) {
  }
}

/// Bytes that are watched from now on.
struct watched {
  explicit watched(pages& p) : memory(p), then(p.begin(), p.end()) {}
  pages& memory;
  bytes then;
};

}  // namespace

TEST_CASE("mapped memory comes back from a process stopped inside it, and does not change any more", "[links][shm]") {
  rng r(seed_for("stopped inside"));
  other_process peer("bulk=mapped", use_memory);
  REQUIRE(peer.link());
  side self(*peer.link());
  // Until it was stopped inside once, or nothing was shown.
  std::size_t separated = 0;
  const std::size_t usual = rounds(150);
  for (std::size_t round = 0; round < usual || (separated == 0 && round < 20 * usual); ++round) {
    pages owned(buffer_bytes, true);
    const backend::direct_key key = share(self, owned.all());
    tell(self, key);
    spin(r);
    REQUIRE(peer.stop());
    const auto begin = std::chrono::steady_clock::now();
    self.link.direct()->withdraw(key);
    // Half a second: the machine may be busy.
    CHECK(std::chrono::steady_clock::now() - begin < 500ms);
    separated += memory::slab_of(owned.data()) ? 0 : 1;
    const watched w(owned);
    std::ranges::fill(owned, std::byte{0x11});
    peer.go_on();
    pages next(buffer_bytes, true);
    const backend::direct_key other = share(self, next.all());
    tell(self, other);
    CHECK(std::ranges::all_of(owned, [](std::byte b) { return b == std::byte{0x11}; }));
    CHECK(std::ranges::all_of(w.then, [](std::byte b) { return b == std::byte{} || b == std::byte{0xdb}; }));
    self.link.direct()->withdraw(other);
  }
  CHECK(separated > 0);
}

TEST_CASE("a link closed under a stopped process: all it shared is quiet", "[links][shm]") {
  rng r(seed_for("closed under"));
  for (std::size_t round = rounds(150) / 10 + 1; round > 0; --round) {
    other_process peer("bulk=mapped", use_memory);
    REQUIRE(peer.link());
    side self(*peer.link());
    pages owned(buffer_bytes, true), another(4096, true);
    share(self, another.all());
    tell(self, share(self, owned.all()));
    spin(r);
    REQUIRE(peer.stop());
    const auto begin = std::chrono::steady_clock::now();
    self.link.close();
    CHECK(std::chrono::steady_clock::now() - begin < 500ms);
    std::ranges::fill(owned, std::byte{0x11});
    peer.go_on();
    for (int i = 0; i < 100; ++i) spin(r);
    CHECK(std::ranges::all_of(owned, [](std::byte b) { return b == std::byte{0x11}; }));
  }
}

TEST_CASE("stores of the owner's own threads are kept while memory comes back", "[links][shm]") {
  const auto s = memory::slab::make({4 * mib, -1, false});
  auto* words = reinterpret_cast<std::uint64_t*>(s->data());
  constexpr std::size_t stride = 512 / 8;
  const std::size_t count = 4 * mib / 512;
  std::atomic<bool> stop{false};
  std::uint64_t laps = 0;
  std::thread owner([&] {
    // Each word counts; a store that was lost is seen by the next.
    for (bool good = true; good && !stop; ++laps)
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t was = __atomic_fetch_add(&words[i * stride], 1, __ATOMIC_RELAXED);
        if (was != laps) good = false;
      }
  });
  for (std::size_t at = 0; at < 4 * mib; at += 64 * 1024) CHECK(s->separate(at + 100, 100 * 1024));
  stop = true;
  owner.join();
  CHECK(s->separated());
  for (std::size_t i = 0; i < count; ++i) REQUIRE(words[i * stride] == laps);
}

TEST_CASE("another session's key to memory that came back is void, not stale", "[links][shm]") {
  connected one({"shm://*", "bulk=mapped", true}), two({"shm://*", "bulk=mapped", true});
  side owner(one.b()), user(one.a()), owner2(two.b()), user2(two.a());
  pages owned(buffer_bytes, true), other(4096, true);
  const auto key = share(owner, owned.all()), key2 = share(owner2, owned.all(), kfx::access::write),
             unconcerned = share(owner2, other.all());
  const bytes source(1000, std::byte{5});
  const const_buffer from(source);
  const auto put = [&](side& s, backend::direct_key k, backend::cookie id) {
    REQUIRE(s.direct().put(k, 0, std::span(&from, 1), id));
    REQUIRE(turn_until(s, [&] { return s.seen.direct.contains(id); }));
    return s.seen.direct[id].front();
  };
  CHECK_FALSE(put(user, key, 1));
  CHECK_FALSE(put(user2, key2, 1));
  auto place = memory::slab_of(owned.data());
  REQUIRE(place);
  REQUIRE(place->keep->separate(0, 4096));
  // Its link is given up, and another one carries it.
  CHECK(put(user, key, 2) == std::errc::connection_reset);
  CHECK(put(user2, key2, 2) == std::errc::connection_reset);
  CHECK_FALSE(put(user2, unconcerned, 3));
  CHECK(owned.holds([&] {
    bytes b(buffer_bytes);
    std::ranges::copy(source, b.begin());
    return b;
  }()));
  const mutable_buffer again = owned.all();
  CHECK(owner.link.direct()->share(std::span(&again, 1), kfx::access::read, backend::sharing::lasting).error() ==
        errc::not_supported);
  owner.link.direct()->withdraw(key);
}

TEST_CASE("memory reached through the kernel comes back when the process goes on, or is killed", "[links][shm]") {
  rng r(seed_for("stopped in a call"));
  for (std::size_t round = rounds(150) / 5 + 1; round > 0; --round) {
    other_process peer("bulk=cross", use_memory);
    REQUIRE(peer.link());
    side self(*peer.link());
    pages owned(buffer_bytes);
    const backend::direct_key key = share(self, owned.all());
    tell(self, key);
    spin(r);
    REQUIRE(peer.stop());
    std::atomic<bool> back{false};
    // Mostly it is back at once; a stop between two instructions is waited out.
    std::thread helper([&] {
      const auto until = std::chrono::steady_clock::now() + 200ms;
      while (!back && std::chrono::steady_clock::now() < until) std::this_thread::yield();
      if (round % 2)
        peer.go_on();
      else
        peer.kill();
    });
    self.link.direct()->withdraw(key);
    std::ranges::fill(owned, std::byte{0x11});
    back = true;
    helper.join();
    for (int i = 0; i < 20; ++i) spin(r);
    CHECK(std::ranges::all_of(owned, [](std::byte b) { return b == std::byte{0x11}; }));
  }
}
