// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What a peer may say over its socket and in its pages, and what comes of it: the end of its own link.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>
#include <cstring>

#include "backends/shm/shm_handshake.hpp"
#include "backends/shm/shm_imports.hpp"
#include "backends/shm/shm_page.hpp"
#include "links/link_bench.hpp"
#include "support/give.hpp"
#include "support/open_files.hpp"
#include "wire/ring_link.hpp"

using namespace kfx;
using namespace kfx::test;
using namespace std::chrono_literals;
using shm::control;

namespace {

/// A memory file; `seals` < 0: none can be added.
shm::descriptor file(std::size_t bytes, int seals = F_SEAL_SHRINK | F_SEAL_GROW) {
  shm::descriptor d(::memfd_create("hostile", MFD_CLOEXEC | (seals < 0 ? 0 : MFD_ALLOW_SEALING)));
  REQUIRE(::ftruncate(d.get(), static_cast<off_t>(bytes)) == 0);
  if (seals > 0) REQUIRE(::fcntl(d.get(), F_ADD_SEALS, seals) == 0);
  return d;
}

void say_over(int socket, const void* bytes, std::size_t n, const std::vector<int>& descriptors) {
  REQUIRE(give(socket, bytes, n, descriptors) == static_cast<ssize_t>(n));
}

/// A link whose other end is the test's own, socket and pages.
struct victim {
  shm::descriptor socket;  ///< the hostile end
  std::unique_ptr<backend::ring_pair> peer;
  std::unique_ptr<wire::ring_link> link;
  shm::page* page = nullptr;  ///< the hostile end's

  victim() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    socket = shm::descriptor(::dup(ends[0]));
    boost::asio::io_context io;
    std::unique_ptr<backend::ring_pair> made[2];
    for (const int i : {0, 1})
      boost::asio::co_spawn(
          io, shm::exchange_memory(io, shm::descriptor(ends[i]), "hostile", i == 0, shm::bulk::mapped),
          [&made, i](std::exception_ptr, auto outcome) { made[i] = std::move(std::get<0>(outcome)); });
    io.run();
    REQUIRE((made[0] && made[1]));
    peer = std::move(made[0]);
    page = reinterpret_cast<shm::page*>(peer->map().in_freed);
    link = std::make_unique<wire::ring_link>(std::move(made[1]));
  }

  void say(const void* bytes, std::size_t n, std::vector<int> give = {}) const {
    say_over(socket.get(), bytes, n, give);
  }
  void say(const control& c, std::vector<int> give = {}) const { say(&c, sizeof c, std::move(give)); }

  std::error_code put(std::uint32_t key) {
    side s(*link);
    const bytes source(100);
    const const_buffer from(source);
    REQUIRE(s.direct().put(key, 0, std::span(&from, 1), 1));
    REQUIRE(turn_until(s, [&] { return s.seen.direct.contains(1); }));
    return s.seen.direct[1].front();
  }
  /// The link ends, as a link does.
  bool dies() {
    side s(*link);
    return turn_until(s, [&] { return bool(s.error); });
  }
};

control good() {
  control c;
  c.what = control::mapped;
  c.key = 4096;
  c.rights = 3;
  c.length = c.size = 4096;
  return c;
}

template <class Change>
control but(Change&& change) {
  control c = good();
  change(c);
  return c;
}

}  // namespace

TEST_CASE("a key is good, and a file that did not get through is nobody's fault", "[links][shm]") {
  const std::size_t before = open_files();
  {
    victim v;
    const auto f = file(4096);
    v.page->live[0].store(4096);
    v.say(good(), {f.get()});
    CHECK_FALSE(v.put(4096));
    // As after a receiver ran out of descriptors.
    v.page->live[1].store(4097);
    v.say(but([](control& c) { c.key = 4097, c.file = 1; }));
    CHECK(v.put(4097) == errc::out_of_resources);
    CHECK_FALSE(v.put(4096));
    CHECK(v.put(8192) == errc::stale_region);
  }
  CHECK(open_files() == before);
}

TEST_CASE("nonsense over the socket ends the link, and nothing is left of it", "[links][shm]") {
  const std::size_t before = open_files();
  const auto sound = file(4096), small = file(100), open = file(4096, 0), plain = file(4096, -1);
  const shm::descriptor none(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const shm::descriptor folder(::open("/", O_RDONLY | O_CLOEXEC));
  using list = std::vector<int>;
  struct saying {
    const char* what;
    control c;
    list give;
  };
  const std::vector<saying> sayings{
      {"no key", but([](control& c) { c.key = 0; }), {sound.get()}},
      {"the key of none", but([](control& c) { c.key = ~0u; }), {sound.get()}},
      {"no rights", but([](control& c) { c.rights = 0; }), {sound.get()}},
      {"rights that are none", but([](control& c) { c.rights = 8; }), {sound.get()}},
      {"no bytes", but([](control& c) { c.length = 0; }), {sound.get()}},
      {"more than the file has", but([](control& c) { c.length = 4097; }), {sound.get()}},
      {"a size that is too large for a mapping", but([](control& c) { c.length = c.size = ~0ull; }), {sound.get()}},
      {"a file beyond the list", but([](control& c) { c.file = shm::most_files; }), {sound.get()}},
      {"a file of another size", good(), {small.get()}},
      {"a file that can shrink", good(), {open.get()}},
      {"a file without seals", good(), {plain.get()}},
      {"a device", good(), {none.get()}},
      {"a directory", good(), {folder.get()}},
      {"two descriptors", good(), {sound.get(), sound.get()}},
      {"a file to forget that is none", but([](control& c) { c.what = control::forget; }), {}},
      {"an unknown word", but([](control& c) { c.what = 77; }), {}},
      {"an address that wraps", but([](control& c) { c.what = control::cross, c.address = ~0ull; }), {}},
      {"an address and a descriptor", but([](control& c) { c.what = control::cross; }), {sound.get()}},
  };
  for (const saying& s : sayings) {
    INFO(s.what);
    victim v;
    v.say(s.c, s.give);
    CHECK(v.put(12345) == std::errc::connection_reset);
    CHECK(v.dies());
  }
  for (const std::size_t n : {2u, 39u, 41u, 4000u}) {
    victim v;
    v.say(bytes(n).data(), n);
    CHECK(v.dies());
  }
  victim v;
  v.say("", 1, list(8, sound.get()));
  CHECK(v.dies());
  CHECK(open_files() == before + 6 + 5);  // what this test holds: its files, and the last link
}

TEST_CASE("descriptors that come with no bytes at all are closed", "[links][shm]") {
  const auto given = file(4096);
  const std::size_t before = open_files();
  {
    victim v;
    v.say("", 0, {given.get()});
    CHECK(v.dies());
  }
  CHECK(open_files() == before);
  {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    say_over(ends[0], "", 0, {given.get(), given.get()});
    boost::asio::io_context io;
    bool refused = false;
    boost::asio::co_spawn(io, shm::exchange_memory(io, shm::descriptor(ends[1]), "hostile", false, shm::bulk::ring),
                          [&](std::exception_ptr, auto outcome) { refused = outcome.index() == 1; });
    io.run();
    CHECK(refused);
    ::close(ends[0]);
  }
  CHECK(open_files() == before);
}

TEST_CASE("a key at an address ends a link that does not go through the kernel", "[links][shm]") {
  victim v;
  bytes innocent(4096, std::byte{7});
  v.page->live[0].store(4096);
  v.say(but([&](control& c) {
    c.what = control::cross;
    c.address = reinterpret_cast<std::uintptr_t>(innocent.data());
  }));
  CHECK(v.put(4096) == std::errc::connection_reset);
  CHECK(v.dies());
  CHECK(std::ranges::all_of(innocent, [](std::byte b) { return b == std::byte{7}; }));
}

TEST_CASE("a peer that says it is inside for ever is waited for no longer than one that is", "[links][shm]") {
  victim v;
  pages owned(300000, true);
  const mutable_buffer memory = owned.all();
  std::ranges::fill(owned, std::byte{3});
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{299999}, ~std::uint64_t{0}}) {
    pages fresh(300000, true);
    const mutable_buffer m = fresh.all();
    const auto key = v.link->direct()->share(std::span(&m, 1), kfx::access::write, backend::sharing::lasting);
    REQUIRE(key.has_value());
    v.page->busy.at.store(at);
    v.page->busy.stamp.store(*key);
    const auto begin = std::chrono::steady_clock::now();
    v.link->direct()->withdraw(*key);
    CHECK(std::chrono::steady_clock::now() - begin < 500ms);
  }
  REQUIRE(v.link->direct()->share(std::span(&memory, 1), kfx::access::read, backend::sharing::lasting).has_value());
  v.link->close();
  CHECK(std::ranges::all_of(owned, [](std::byte b) { return b == std::byte{3}; }));
}

TEST_CASE("what is shared is the whole of a buffer, and read-only means it", "[links][shm]") {
  victim v;
  pages owned(5000, true);
  std::ranges::fill(owned, std::byte{9});
  const mutable_buffer part = owned.all().first(4999), tail = owned.all().last(4000), all = owned.all();
  auto& memory = *v.link->direct();
  CHECK(memory.share(std::span(&part, 1), kfx::access::read, backend::sharing::lasting).error() == errc::not_supported);
  CHECK(memory.share(std::span(&tail, 1), kfx::access::read, backend::sharing::lasting).error() == errc::not_supported);
  REQUIRE(memory.share(std::span(&all, 1), kfx::access::read, backend::sharing::lasting).has_value());
  control said;
  shm::descriptor given;
  REQUIRE(shm::receive(v.socket.get(), said, given) == shm::arrival::control);
  REQUIRE(given);
  CHECK(said.size == 8192);
  CHECK(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, given.get(), 0) == MAP_FAILED);
  const auto* seen = static_cast<const std::byte*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, given.get(), 0));
  REQUIRE(seen != MAP_FAILED);
  CHECK(std::all_of(seen, seen + 5000, [](std::byte b) { return b == std::byte{9}; }));
  CHECK(std::all_of(seen + 5000, seen + 8192, [](std::byte b) { return b == std::byte{}; }));
  CHECK(::ftruncate(given.get(), 0) != 0);
  ::munmap(const_cast<std::byte*>(seen), 8192);
}

TEST_CASE("a peer that does not listen gets no more keys, and later gets some again", "[links][shm]") {
  victim v;
  std::deque<pages> all;
  auto& memory = *v.link->direct();
  const auto share = [&] {
    const mutable_buffer m = all.emplace_back(100, true).all();
    return memory.share(std::span(&m, 1), kfx::access::read, backend::sharing::lasting);
  };
  result<backend::direct_key> key = share();
  for (int i = 0; i < 5000 && key; ++i) key = share();
  REQUIRE_FALSE(key);
  CHECK(key.error() == errc::not_supported);
  control said;
  shm::descriptor given;
  while (shm::receive(v.socket.get(), said, given) == shm::arrival::control) {
  }
  CHECK(share().has_value());
}

TEST_CASE("an import table takes anything", "[links][shm]") {
  rng r(seed_for("import table"));
  const std::size_t before = open_files();
  {
    shm::import_table table;
    std::size_t taken = 0;
    for (int i = 0; i < 20000; ++i) {
      control c;
      const auto small = [&](std::uint64_t most) { return r() % 8 == 0 ? r() : r() % most; };
      c.what = static_cast<std::uint32_t>(small(4));
      c.key = static_cast<std::uint32_t>(small(5) * 4096 + small(5));
      c.file = static_cast<std::uint32_t>(small(6));
      c.rights = static_cast<std::uint32_t>(small(4));
      c.size = r() % 4 ? 4096 * (1 + r() % 2) : r();
      c.length = r() % 4 ? 1 + r() % 8192 : r();
      c.address = r();
      shm::descriptor d;
      if (r() % 2) d = file(4096 * (1 + r() % 2), r() % 4 ? F_SEAL_SHRINK : 0);
      taken += table.take(c, std::move(d));
      REQUIRE(table.mapped_files() <= shm::most_files);
      const auto* found = table.find(c.key);
      if (!found || found->cross) continue;
      volatile std::byte* base = table.base(*found);
      if (!base) continue;
      (void)base[0];
      (void)base[found->length - 1];
    }
    CHECK(taken > 100);
  }
  CHECK(open_files() == before);
}
