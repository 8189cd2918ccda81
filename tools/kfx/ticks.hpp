// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A clock cheap enough to read once an op: the CPU's own where it is steady, else the system's.

#include <chrono>
#include <cstdint>

namespace tool {

/// The time now, in ticks of ns_per_tick() nanoseconds.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t t;
  asm volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// Measured against the system's clock at the first call, which takes 20 ms.
double ns_per_tick();
/// What one reading costs, in nanoseconds.
double tick_cost();

inline std::uint64_t ticks_of(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9 / ns_per_tick()); }
inline double seconds_of(std::uint64_t t) { return static_cast<double>(t) * ns_per_tick() / 1e9; }

}  // namespace tool
