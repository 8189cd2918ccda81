// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Seeded randomness: one seed for the process, printed when it starts (KFX_TEST_SEED repeats a run).

#include <cmath>
#include <cstdint>
#include <random>
#include <string_view>

namespace kfx::test {

/// The seed of this run.
std::uint64_t process_seed();

/// A generator whose numbers depend on the process's seed and its own label only. One thread.
class random_source {
 public:
  explicit random_source(std::string_view label, std::uint64_t number = 0);

  std::uint64_t next() { return engine_(); }
  /// 0 … n-1.
  std::uint64_t below(std::uint64_t n) { return n ? engine_() % n : 0; }
  /// lo … hi.
  std::uint64_t between(std::uint64_t lo, std::uint64_t hi) { return lo + below(hi - lo + 1); }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  /// 0 now and then, else log-uniform in 1 … most: every magnitude is equally likely.
  std::size_t size(std::size_t most) {
    if (most == 0 || one_in(20)) return 0;
    const double u = static_cast<double>(engine_() >> 11) * 0x1.0p-53;
    const auto n = static_cast<std::size_t>(std::exp(u * std::log(static_cast<double>(most) + 1)));
    return n < 1 ? 1 : n > most ? most : n;
  }
  std::mt19937_64& engine() noexcept { return engine_; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace kfx::test
