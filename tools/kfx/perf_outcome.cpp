// SPDX-License-Identifier: BSD-2-Clause
#include "perf_client.hpp"
#include "ticks.hpp"

namespace tool::perf {

double outcome::mean_ns() const {
  if (per_op == 1 || ops == 0) return latency.mean() * ns_per_tick();
  return seconds * 1e9 / static_cast<double>(ops);
}

double outcome::quantile_ns(double fraction) const {
  return static_cast<double>(latency.quantile(fraction)) * ns_per_tick() / per_op;
}

const char* name_of(test t) noexcept {
  switch (t) {
    case test::send_oneway:
      return "send-oneway";
    case test::notify_oneway:
      return "notify-oneway";
    case test::write8_oneway:
      return "write8-oneway";
    case test::send:
      return "send";
    case test::call:
      return "call";
    case test::write:
      return "write";
    case test::notify:
      return "notify";
    case test::write8:
      return "write8";
    default:
      return "read";
  }
}

bool one_way(test t) noexcept { return t == test::send_oneway || t == test::notify_oneway || t == test::write8_oneway; }

}  // namespace tool::perf
