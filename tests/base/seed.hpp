// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Random tests: each prints its seed when it fails, and takes it from KFX_TEST_SEED to repeat it.

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace kfx_test {

inline std::uint64_t seed(const char* test) {
  const char* given = std::getenv("KFX_TEST_SEED");
  const std::uint64_t s = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::cout << test << ": KFX_TEST_SEED=" << s << std::endl;
  return s;
}

using rng = std::mt19937_64;

inline std::uint64_t below(rng& r, std::uint64_t n) {
  return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(r);
}

/// 0 to 2^bits - 1, every magnitude as likely as the next.
inline std::uint64_t log_uniform(rng& r, unsigned bits) {
  const auto width = static_cast<unsigned>(below(r, bits + 1));
  return width == 0 ? 0 : (std::uint64_t{1} << (width - 1)) | (r() & ((std::uint64_t{1} << (width - 1)) - 1));
}

}  // namespace kfx_test
