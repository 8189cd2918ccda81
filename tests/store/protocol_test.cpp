// SPDX-License-Identifier: BSD-2-Clause
#include "protocol.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <vector>

using namespace store;

namespace {

std::uint64_t seed_of_run() {
  const char* given = std::getenv("KFX_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  WARN("KFX_TEST_SEED=" << seed);
  return seed;
}

kfx::const_buffer bytes_of(const std::string& s) { return std::as_bytes(std::span(s)); }

/// Takes all entries; every view must lie within the packet.
unsigned walk(kfx::const_buffer packet) {
  packet_reader reader(packet);
  unsigned n = 0;
  const auto inside = [&](const void* p, std::size_t length) {
    const auto* at = static_cast<const std::byte*>(p);
    return length == 0 || (at >= packet.data() && at + length <= packet.data() + packet.size());
  };
  while (!reader.at_end()) {
    const auto e = reader.next();
    if (!e) break;
    REQUIRE(inside(e->name.data(), e->name.size()));
    REQUIRE(inside(e->data.data(), e->data.size()));
    ++n;
  }
  return n;
}

}  // namespace

TEST_CASE("a request survives encoding") {
  request r{.op = verb::read, .flags = recursive, .id = 7, .offset = 1ull << 40, .length = 5};
  const std::string text = encode(r, "a/b c");
  const auto back = parse_request(bytes_of(text));
  REQUIRE(back.has_value());
  CHECK(back->path == "a/b c");
  CHECK(back->head.op == verb::read);
  CHECK(back->head.offset == 1ull << 40);
  CHECK(back->head.id == 7);
}

TEST_CASE("a request that is not exactly one is refused") {
  const std::string good = encode({.op = verb::stat}, "abc");
  REQUIRE(parse_request(bytes_of(good)).has_value());
  for (std::size_t cut = 0; cut < good.size(); ++cut) CHECK_FALSE(parse_request(bytes_of(good).first(cut)).has_value());
  CHECK_FALSE(parse_request(bytes_of(good + "x")).has_value());
  std::string bad = good;
  bad[0] = 'X';
  CHECK_FALSE(parse_request(bytes_of(bad)).has_value());
  bad = good;
  bad[4] = 0;
  CHECK_FALSE(parse_request(bytes_of(bad)).has_value());
  bad[4] = static_cast<char>(last_verb) + 1;
  CHECK_FALSE(parse_request(bytes_of(bad)).has_value());
  CHECK_FALSE(parse_request(bytes_of(encode({.op = verb::stat, .mtime_ns = 1'000'000'000}, ""))).has_value());
}

TEST_CASE("a packet gives back what was put in, and stops where it is full") {
  std::vector<std::byte> space(1000);
  packet_writer to{kfx::mutable_buffer(space)};
  to.add({.kind = kind::file, .size = 3}, "name", "abc");
  to.add({.kind = kind::directory}, "");
  const auto bytes = to.bytes();
  const auto count = to.count();
  to.add({.kind = kind::symlink}, "gone", "target");
  to.rewind(bytes, count);
  to.add({.kind = kind::symlink}, "link", "t");
  CHECK(to.count() == 3);
  CHECK(to.fits(0, 1000 - to.bytes() - sizeof(entry)));
  CHECK_FALSE(to.fits(0, 1000 - to.bytes() - sizeof(entry) + 1));
  packet_reader from{kfx::const_buffer(space).first(to.bytes())};
  CHECK(from.next()->name == "name");
  CHECK(from.next()->name.empty());
  const auto last = from.next();
  CHECK(last->name == "link");
  CHECK(last->data.size() == 1);
  CHECK(from.at_end());
}

TEST_CASE("garbage is refused within its bounds") {
  std::mt19937_64 random(seed_of_run());
  std::vector<std::byte> space(4096);
  unsigned whole = 0;
  for (int round = 0; round < 20000; ++round) {
    packet_writer to{kfx::mutable_buffer(space)};
    while (to.fits(10, 50) && random() % 8)
      to.add({.kind = static_cast<kind>(1 + random() % 4)}, std::string(random() % 10, 'n'),
             std::string(random() % 50, 'd'));
    // An exact copy, so that a read beyond it is one that sanitizers see.
    std::vector<std::byte> packet(space.begin(), space.begin() + static_cast<std::ptrdiff_t>(to.bytes()));
    if (random() % 4 && !packet.empty()) {
      for (auto n = random() % 4 + 1; n; --n) packet[random() % packet.size()] = static_cast<std::byte>(random());
      packet.resize(random() % (packet.size() + 1));
    }
    if (walk(packet) == to.count()) ++whole;
    std::string noise(random() % 300, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    (void)parse_request(bytes_of(noise));
    (void)parse_reply(bytes_of(noise));
  }
  CHECK(whole > 1000);
  CHECK(whole < 20000);
}

TEST_CASE("names that may be created") {
  for (const char* good : {"a", ".hidden", "...", "a b", "new\nline", "\xc3\xa4", "-rf"}) CHECK(good_name(good));
  for (const char* bad : {"", ".", "..", "a/b", "/", ".kfx-part.0123456789abcdef"}) CHECK_FALSE(good_name(bad));
  // Somebody's files, though they begin like those of the store.
  for (const char* good :
       {".kfx-part.", ".kfx-part.notes", ".kfx-part.0123456789abcdeF", ".kfx-part.0123456789abcdef0"})
    CHECK(good_name(good));
  CHECK_FALSE(good_name(std::string_view("a\0b", 3)));
  CHECK_FALSE(good_name(std::string(256, 'x')));
}
