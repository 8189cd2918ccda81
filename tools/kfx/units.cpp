// SPDX-License-Identifier: BSD-2-Clause
#include "units.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <stdexcept>

namespace tool {

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array names{"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < names.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", bytes, names[unit]);
}

std::string time_text(double ns) {
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.2f} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.2f} ms", ns / 1e6);
  return fmt::format("{:.2f} s", ns / 1e9);
}

CLI::Validator as_size() { return CLI::AsSizeValue(false).description("SIZE"); }

CLI::Validator as_seconds() {
  const std::map<std::string, double> units{{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}};
  return CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE, "TIME");
}

void pin(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(cpu, &one);
  if (::sched_setaffinity(0, sizeof one, &one) != 0)
    throw std::runtime_error(fmt::format("cannot run on CPU {} only: {}; `taskset -p $$` shows which CPUs there are",
                                         cpu, std::strerror(errno)));
}

}  // namespace tool
