// SPDX-License-Identifier: BSD-2-Clause
#include "ticks.hpp"

#include <algorithm>
#include <array>

namespace tool {
namespace {

using clock = std::chrono::steady_clock;

struct both {
  clock::time_point system;
  std::uint64_t ticks;
};

/// Both clocks at one moment: the closest of some pairs, for one may be torn apart by the scheduler.
both at_once() {
  both best{};
  std::uint64_t width = ~std::uint64_t{0};
  for (int i = 0; i < 50; ++i) {
    const std::uint64_t before = ticks();
    const auto system = clock::now();
    const std::uint64_t after = ticks();
    if (after - before >= width) continue;
    width = after - before;
    best = {system, before + width / 2};
  }
  return best;
}

}  // namespace

double ns_per_tick() {
  static const double measured = [] {
    const both a = at_once();
    while (clock::now() - a.system < std::chrono::milliseconds(20)) {
    }
    const both b = at_once();
    return std::chrono::duration<double, std::nano>(b.system - a.system).count() /
           static_cast<double>(std::max<std::uint64_t>(1, b.ticks - a.ticks));
  }();
  return measured;
}

double tick_cost() {
  std::array<std::uint64_t, 9> rounds{};
  constexpr unsigned n = 1000;
  for (std::uint64_t& r : rounds) {
    const std::uint64_t begin = ticks();
    std::uint64_t last = begin;
    for (unsigned i = 0; i < n; ++i) last = ticks();
    r = last - begin;
  }
  std::sort(rounds.begin(), rounds.end());
  return static_cast<double>(rounds[4]) * ns_per_tick() / n;
}

}  // namespace tool
