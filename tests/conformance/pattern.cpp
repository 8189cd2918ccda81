// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "suite.hpp"

namespace kfx::test {

std::uint64_t process_seed() {
  static const std::uint64_t seed = [] {
    const char* text = std::getenv("KFX_TEST_SEED");
    return text && *text ? std::strtoull(text, nullptr, 10) : std::uint64_t{std::random_device{}()};
  }();
  return seed;
}

random_source::random_source(std::string_view label, std::uint64_t number) {
  std::uint64_t h = process_seed() * 0x9e3779b97f4a7c15u + number;
  for (const char c : label) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  engine_.seed(h);
}

const_buffer noise() {
  static const std::vector<std::byte> bytes = [] {
    std::vector<std::byte> v(32 << 20);
    random_source rng("noise");
    for (std::size_t i = 0; i < v.size(); i += 8) {
      const std::uint64_t x = rng.next();
      std::memcpy(v.data() + i, &x, 8);
    }
    std::replace(v.begin(), v.end(), poison, std::byte{0x5a});
    return v;
  }();
  return bytes;
}

const_buffer noise(random_source& rng, std::size_t n) { return noise().subspan(rng.below(noise().size() - n + 1), n); }

namespace {
template <class Buffer>
bool same_pieces(const std::vector<Buffer>& pieces, const_buffer flat) {
  std::size_t at = 0;
  for (const Buffer& p : pieces) {
    if (at + p.size() > flat.size()) return false;
    if (!p.empty() && std::memcmp(p.data(), flat.data() + at, p.size()) != 0) return false;
    at += p.size();
  }
  return at == flat.size();
}

/// Cut points of `n` bytes: sorted, first 0, last n; doubles make empty pieces.
std::vector<std::size_t> cut_points(random_source& rng, std::size_t n, std::size_t most) {
  const std::size_t pieces = std::max<std::size_t>(rng.size(most), 1);
  std::vector<std::size_t> cuts{0, n};
  for (std::size_t i = 1; i < pieces; ++i) cuts.push_back(rng.below(n + 1));
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}
}  // namespace

bool same(const std::vector<const_buffer>& pieces, const_buffer flat) { return same_pieces(pieces, flat); }
bool same(const std::vector<mutable_buffer>& pieces, const_buffer flat) { return same_pieces(pieces, flat); }
bool same(const_buffer a, const_buffer b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

std::vector<const_buffer> noise_pieces(random_source& rng, std::size_t n, std::size_t most) {
  const auto cuts = cut_points(rng, n, most);
  std::vector<const_buffer> pieces;
  for (std::size_t i = 1; i < cuts.size(); ++i) pieces.push_back(noise(rng, cuts[i] - cuts[i - 1]));
  return pieces;
}

std::vector<mutable_buffer> shuffled_pieces(random_source& rng, mutable_buffer whole, std::size_t most) {
  const auto cuts = cut_points(rng, whole.size(), most);
  std::vector<mutable_buffer> pieces;
  for (std::size_t i = 1; i < cuts.size(); ++i) pieces.push_back(whole.subspan(cuts[i - 1], cuts[i] - cuts[i - 1]));
  std::shuffle(pieces.begin(), pieces.end(), rng.engine());
  return pieces;
}

}  // namespace kfx::test
