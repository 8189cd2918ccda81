// SPDX-License-Identifier: BSD-2-Clause
#include "histogram.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

namespace {

std::uint64_t seed() {
  const char* given = std::getenv("KFX_TEST_SEED");
  const std::uint64_t s = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  UNSCOPED_INFO("KFX_TEST_SEED=" << s);
  return s;
}

/// Nearest rank, the plain way.
std::uint64_t exact(const std::vector<std::uint64_t>& sorted, double fraction) {
  const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

}  // namespace

TEST_CASE("a histogram's quantiles are those of the values, within 0.4 %") {
  std::mt19937_64 random(seed());
  for (int round = 0; round < 200; ++round) {
    // Sizes and spreads of all magnitudes.
    const auto n = static_cast<std::size_t>(std::exp2(std::uniform_real_distribution(0.0, 14.0)(random)));
    const double widest = std::uniform_real_distribution(1.0, 62.0)(random);
    std::vector<std::uint64_t> values(n);
    tool::histogram h;
    double sum = 0;
    for (auto& v : values) {
      v = static_cast<std::uint64_t>(std::exp2(std::uniform_real_distribution(0.0, widest)(random)));
      // The sum is 64 bits wide, which times are not near to.
      v = std::min<std::uint64_t>(v, std::uint64_t{1} << 48);
      h.record(v);
      sum += static_cast<double>(v);
    }
    std::sort(values.begin(), values.end());
    CHECK(h.count() == n);
    CHECK(h.min() == values.front());
    CHECK(h.max() == values.back());
    CHECK(h.mean() == Approx(sum / static_cast<double>(n)).epsilon(1e-6));
    for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto right = static_cast<double>(exact(values, q));
      INFO(n << " values up to 2^" << widest << ", quantile " << q);
      CHECK(std::abs(static_cast<double>(h.quantile(q)) - right) <= right * 0.004);
    }
  }
}

TEST_CASE("small values are exact") {
  for (std::uint64_t v = 0; v < 256; ++v) {
    tool::histogram h;
    h.record(0);
    h.record(v);
    h.record(v);
    h.record(255);
    CHECK(h.quantile(0.5) == v);
  }
}

TEST_CASE("values at the ends of what there is") {
  tool::histogram h;
  CHECK(h.quantile(0.5) == 0);
  CHECK(h.min() == 0);
  CHECK(h.mean() == 0);
  constexpr std::uint64_t largest = ~std::uint64_t{0};
  h.record(largest);
  CHECK(h.quantile(0.5) == largest);
  h.record(0);
  CHECK(h.quantile(0) == 0);
  CHECK(h.quantile(1) == largest);
  h.clear();
  CHECK(h.count() == 0);
  CHECK(h.quantile(1) == 0);
}

TEST_CASE("at each power of two a bucket ends and the next begins") {
  for (unsigned bit = 8; bit < 63; ++bit) {
    const std::uint64_t at = std::uint64_t{1} << bit;
    tool::histogram h;
    h.record(0);
    for (int i = 0; i < 3; ++i) h.record(at - 1);
    for (int i = 0; i < 3; ++i) h.record(at);
    h.record(~std::uint64_t{0});
    CHECK(h.quantile(0.3) < at);
    CHECK(h.quantile(0.7) >= at);
  }
}
