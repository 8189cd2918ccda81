// SPDX-License-Identifier: BSD-2-Clause
#include "perf_report.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <utility>

#include "json.hpp"
#include "ticks.hpp"
#include "units.hpp"

namespace tool::perf {
namespace {

constexpr std::array<std::pair<const char*, double>, 6> quantiles{
    {{"min", 0}, {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}};

/// Four digits that count.
std::string figure(double v) { return fmt::format("{:.{}f}", v, v < 10 ? 3 : v < 100 ? 2 : v < 1000 ? 1 : 0); }

json::object object_of(const outcome& o) {
  json::object latency{{"mean", o.mean_ns()}};
  for (const auto& [name, q] : quantiles) latency[name] = o.quantile_ns(q);
  return {{"test", name_of(o.what.test)},
          {"size", o.what.size},
          {"depth", o.what.depth},
          {"header", o.what.header},
          {"payload", o.what.payload},
          {"ops", o.ops},
          {"seconds", o.seconds},
          {"ops_per_second", o.rate()},
          {"bytes_per_second", o.bandwidth()},
          {"latency_ns", std::move(latency)},
          {"preempted", o.preempted},
          {"latency_samples", o.latency.count()}};
}

}  // namespace

const char* name_of(memory m) noexcept { return m == memory::allocated ? "allocated" : "ordinary"; }
const char* name_of(kfx::progress p) noexcept { return p == kfx::progress::caller ? "caller" : "threads"; }

void report::begin() {
  if (format_ == format::table) {
    fmt::print("# {}\n# progress {}, memory {} here, {} there\n", setting_.transport,
               name_of(setting_.options.progress), name_of(setting_.options.local), name_of(setting_.options.remote));
    fmt::print("{:<14}{:>9}{:>6}{:>11} |{:>9}", "test", "size", "depth", "ops", "avg us");
    for (const auto& q : quantiles) fmt::print("{:>9}", q.first);
    fmt::print(" |{:>9}{:>9}\n", "M op/s", "GB/s");
  } else if (format_ == format::csv) {
    fmt::print("test,size,depth,header,payload,ops,seconds,ops_per_second,bytes_per_second,mean_ns");
    for (const auto& q : quantiles) fmt::print(",{}_ns", q.first);
    fmt::print("\n");
  }
  std::fflush(stdout);
}

void report::add(const outcome& o) {
  rows_.push_back(o);
  if (format_ == format::table) {
    fmt::print("{:<14}{:>9}{:>6}{:>11} |{:>9}", name_of(o.what.test), size_text(o.what.size), o.what.depth, o.ops,
               figure(o.mean_ns() / 1e3));
    for (const auto& q : quantiles) fmt::print("{:>9}", figure(o.quantile_ns(q.second) / 1e3));
    fmt::print(" |{:>9}{:>9}\n", figure(o.rate() / 1e6), figure(o.bandwidth() / 1e9));
  } else if (format_ == format::csv) {
    fmt::print("{},{},{},{},{},{},{:.9f},{:.1f},{:.1f},{:.2f}", name_of(o.what.test), o.what.size, o.what.depth,
               o.what.header, o.what.payload, o.ops, o.seconds, o.rate(), o.bandwidth(), o.mean_ns());
    for (const auto& q : quantiles) fmt::print(",{:.2f}", o.quantile_ns(q.second));
    fmt::print("\n");
  }
  std::fflush(stdout);
}

void report::end() {
  long preempted = 0;
  for (const outcome& o : rows_) preempted += o.preempted;
  if (format_ == format::table && preempted != 0)
    fmt::print(
        "# other programs took the CPU from the client {} times: its averages, rates and high percentiles\n"
        "# contain their time\n",
        preempted);
  if (format_ != format::json) return;
  json::array results;
  for (const outcome& o : rows_) results.push_back(object_of(o));
  json::object memory{{"local", name_of(setting_.options.local)}, {"remote", name_of(setting_.options.remote)}};
  json::object all{{"kfx", kfx::version()},
                   {"uri", setting_.uri},
                   {"transport", setting_.transport},
                   {"progress", name_of(setting_.options.progress)},
                   {"memory", std::move(memory)},
                   {"cpu", setting_.cpu},
                   {"server_cpu", setting_.server_cpu},
                   {"clock_reading_ns", tick_cost()},
                   {"results", std::move(results)}};
  print(all);
}

}  // namespace tool::perf
