// SPDX-License-Identifier: BSD-2-Clause
#include "pattern.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

namespace lnet::selftest {

static_assert(std::endian::native == std::endian::little, "a big-endian port needs byte swaps here");

namespace {

constexpr std::size_t page = 4096;
constexpr std::uint64_t step = 0x9e3779b97f4a7c15;  // odd, and no byte of a word is like that of its neighbour
constexpr std::size_t word = sizeof(std::uint64_t);

// Two words at a time, four times: what any x86-64 and any ARM does in a few instructions.
using lane = std::uint64_t __attribute__((vector_size(16)));
constexpr std::size_t lanes = 4;
constexpr std::size_t stride = lanes * sizeof(lane);

constexpr std::uint64_t word_at(std::uint64_t seed, std::size_t index) noexcept { return seed + index * step; }

constexpr lane lane_at(std::uint64_t seed, std::size_t index) noexcept {
  return lane{word_at(seed, index), word_at(seed, index + 1)};
}
lane load(const std::byte* at) noexcept {
  lane v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
void store(std::byte* at, lane v) noexcept { std::memcpy(at, &v, sizeof v); }
constexpr lane advance{8 * step, 8 * step};

/// Whole strides; false when any byte of them is wrong. Four names, not an array: that, some compilers put on the
/// stack.
bool verify_strides(const std::byte* at, std::size_t strides, std::uint64_t seed, std::size_t index) noexcept {
  lane a = lane_at(seed, index), b = lane_at(seed, index + 2), c = lane_at(seed, index + 4),
       d = lane_at(seed, index + 6);
  lane wrong_ab{}, wrong_cd{};
  for (const std::byte* const end = at + strides * stride; at != end; at += stride) {
    wrong_ab |= (load(at) ^ a) | (load(at + 16) ^ b);
    wrong_cd |= (load(at + 32) ^ c) | (load(at + 48) ^ d);
    a += advance;
    b += advance;
    c += advance;
    d += advance;
  }
  const lane any = wrong_ab | wrong_cd;
  return (any[0] | any[1]) == 0;
}

/// The slow way, for what is left and to find which byte it is.
std::optional<std::size_t> first_wrong(std::span<const std::byte> m, std::size_t from, std::uint64_t seed) noexcept {
  for (std::size_t at = from; at < m.size(); ++at) {
    const auto expected = static_cast<std::byte>(word_at(seed, at / word) >> (8 * (at % word)));
    if (m[at] != expected) return at;
  }
  return std::nullopt;
}

std::optional<std::size_t> verify_full(std::span<const std::byte> m, std::uint64_t seed) noexcept {
  constexpr std::size_t block = page;
  std::size_t at = 0;
  while (m.size() - at >= stride) {
    const std::size_t bytes = std::min(block, (m.size() - at) / stride * stride);
    if (!verify_strides(m.data() + at, bytes / stride, seed, at / word)) return first_wrong(m, at, seed);
    at += bytes;
  }
  return first_wrong(m, at, seed);
}

void fill_full(std::span<std::byte> m, std::uint64_t seed) noexcept {
  lane a = lane_at(seed, 0), b = lane_at(seed, 2), c = lane_at(seed, 4), d = lane_at(seed, 6);
  std::size_t at = 0;
  for (; m.size() - at >= stride; at += stride) {
    std::byte* const memory = m.data() + at;
    store(memory, a);
    store(memory + 16, b);
    store(memory + 32, c);
    store(memory + 48, d);
    a += advance;
    b += advance;
    c += advance;
    d += advance;
  }
  for (; at < m.size(); at += word) {
    const std::uint64_t v = word_at(seed, at / word);
    std::memcpy(m.data() + at, &v, std::min(word, m.size() - at));
  }
}

/// The last word of `simple` knows the length.
constexpr std::uint64_t last_word(std::uint64_t seed, std::size_t size) noexcept { return ~word_at(seed, size); }

std::optional<std::size_t> compare_word(std::span<const std::byte> m, std::size_t at, std::uint64_t expected) noexcept {
  std::uint64_t found = 0;
  std::memcpy(&found, m.data() + at, word);
  if (found == expected) return std::nullopt;
  return at + static_cast<std::size_t>(std::countr_zero(found ^ expected)) / 8;
}

void invert(std::span<std::byte> m, std::size_t at) noexcept {
  std::uint64_t v = 0;
  std::memcpy(&v, m.data() + at, word);
  v = ~v;
  std::memcpy(m.data() + at, &v, word);
}

}  // namespace

const char* to_string(check c) noexcept {
  switch (c) {
    case check::none:
      return "none";
    case check::simple:
      return "simple";
    case check::full:
      return "full";
  }
  return "unknown";
}

void fill(std::span<std::byte> m, check c, std::uint64_t seed) noexcept {
  if (c == check::none) return;
  if (c == check::full || m.size() < 2 * word) return fill_full(m, seed);
  fill_full(m.first(word), seed);
  const std::uint64_t last = last_word(seed, m.size());
  std::memcpy(m.data() + m.size() - word, &last, word);
}

std::optional<std::size_t> verify(std::span<const std::byte> m, check c, std::uint64_t seed) noexcept {
  if (c == check::none) return std::nullopt;
  if (c == check::full || m.size() < 2 * word) return verify_full(m, seed);
  if (const auto wrong = compare_word(m, 0, word_at(seed, 0))) return wrong;
  return compare_word(m, m.size() - word, last_word(seed, m.size()));
}

void spoil(std::span<std::byte> m, std::size_t round) noexcept {
  if (m.size() < 2 * word) {
    for (std::byte& b : m) b = ~b;
    return;
  }
  const std::size_t last = m.size() - word;
  for (std::size_t at = round * word % page; at <= last; at += page) {
    // The two below are inverted once, not back again.
    if (at >= word && at + word <= last) invert(m, at);
  }
  invert(m, 0);
  invert(m, last);
}

page_buffer::page_buffer(std::size_t bytes)
    : memory_(static_cast<std::byte*>(std::aligned_alloc(page, (bytes + page - 1) / page * page))), size_(bytes) {
  if (!memory_) throw std::bad_alloc();
  std::memset(memory_.get(), 0, bytes);
}

void page_buffer::release::operator()(std::byte* p) const noexcept { std::free(p); }

}  // namespace lnet::selftest
