// SPDX-License-Identifier: BSD-2-Clause
#include "pattern.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <vector>

#include "../base/seed.hpp"

using namespace lnet::selftest;

namespace {

/// Bytes at a word's alignment, with some before and behind that nobody may touch.
struct guarded {
  explicit guarded(std::size_t size) : memory(size + 64, std::byte{0xee}), bytes(std::span(memory).subspan(16, size)) {}
  std::vector<std::byte> memory;
  std::span<std::byte> bytes;
  bool guards_hold() const {
    for (std::size_t i = 0; i < memory.size(); ++i) {
      if ((i < 16 || i >= 16 + bytes.size()) && memory[i] != std::byte{0xee}) return false;
    }
    return true;
  }
};

std::uint64_t word(std::span<const std::byte> b, std::size_t at) {
  std::uint64_t v = 0;
  std::memcpy(&v, b.data() + at, 8);
  return v;
}

}  // namespace

TEST_CASE("each single wrong byte of a full pattern is found, and where") {
  for (const std::size_t size : {1, 7, 8, 9, 63, 64, 65, 127, 200, 4096, 4104, 8191}) {
    guarded m(size);
    fill(m.bytes, check::full, 12345);
    REQUIRE(m.guards_hold());
    REQUIRE_FALSE(verify(m.bytes, check::full, 12345));
    for (std::size_t at = 0; at < size; ++at) {
      for (const unsigned bit : {0u, 7u}) {
        m.bytes[at] ^= std::byte{1} << bit;
        const auto wrong = verify(m.bytes, check::full, 12345);
        REQUIRE(wrong);
        REQUIRE(*wrong == at);
        m.bytes[at] ^= std::byte{1} << bit;
      }
    }
  }
}

TEST_CASE("a full megabyte is looked at to its last byte") {
  page_buffer m(std::size_t{1} << 20);
  fill(m.bytes(), check::full, 99);
  CHECK_FALSE(verify(m.bytes(), check::full, 99));
  kfx_test::rng random(kfx_test::seed("a full megabyte"));
  for (int i = 0; i < 500; ++i) {
    const std::size_t at = i == 0 ? m.bytes().size() - 1 : kfx_test::below(random, m.bytes().size());
    const auto change = static_cast<std::byte>(1 + kfx_test::below(random, 255));
    m.bytes()[at] ^= change;
    CHECK(verify(m.bytes(), check::full, 99) == at);
    m.bytes()[at] ^= change;
  }
}

TEST_CASE("no word of a full pattern is like another, nor with another seed") {
  guarded a(8192), b(8192);
  fill(a.bytes, check::full, 1);
  fill(b.bytes, check::full, 2);
  std::set<std::uint64_t> words;
  for (std::size_t at = 0; at < 8192; at += 8) {
    words.insert(word(a.bytes, at));
    words.insert(word(b.bytes, at));
  }
  CHECK(words.size() == 2048);
  CHECK(verify(a.bytes, check::full, 2) == 0u);
  // Shifted by a page: wrong from the start.
  CHECK(verify(a.bytes.subspan(4096), check::full, 1));
}

TEST_CASE("a simple pattern is its first and last word") {
  for (const std::size_t size : {16, 17, 100, 4096}) {
    guarded m(size);
    fill(m.bytes, check::simple, 5);
    REQUIRE(m.guards_hold());
    REQUIRE_FALSE(verify(m.bytes, check::simple, 5));
    for (std::size_t at = 0; at < size; ++at) {
      m.bytes[at] ^= std::byte{0x10};
      const auto wrong = verify(m.bytes, check::simple, 5);
      const bool watched = at < 8 || at >= size - 8;
      REQUIRE(wrong.has_value() == watched);
      if (watched) REQUIRE(*wrong == at);
      m.bytes[at] ^= std::byte{0x10};
    }
    // It ends where it should.
    REQUIRE(verify(m.bytes.first(size - 1), check::simple, 5));
  }
}

TEST_CASE("without a check anything is right") {
  guarded m(64);
  fill(m.bytes, check::none, 5);
  CHECK(m.bytes[0] == std::byte{0xee});
  CHECK_FALSE(verify(m.bytes, check::none, 7));
}

TEST_CASE("what did not come again shows where the memory was spoilt") {
  for (const std::size_t size : {1, 8, 15, 16, 24, 4096, 4104, 20000, 65536}) {
    for (const check c : {check::simple, check::full}) {
      guarded m(size);
      for (std::size_t round = 0; round < 520; ++round) {
        fill(m.bytes, c, 3);
        spoil(m.bytes, round);
        REQUIRE(verify(m.bytes, c, 3));
      }
      REQUIRE(m.guards_hold());
    }
  }
  // Any page that is left out is found, in any round.
  guarded m(16 * 4096);
  for (std::size_t round = 0; round < 600; round += 7) {
    for (std::size_t page = 0; page < 16; ++page) {
      fill(m.bytes, check::full, 3);
      spoil(m.bytes, round);
      std::vector<std::byte> left(m.bytes.begin(), m.bytes.end());
      fill(m.bytes, check::full, 3);
      std::memcpy(m.bytes.data() + page * 4096, left.data() + page * 4096, 4096);
      REQUIRE(verify(m.bytes, check::full, 3));
    }
  }
}
