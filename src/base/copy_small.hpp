// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Copies of a few words.

#include <cstddef>
#include <cstring>

namespace kfx::base {

/// memcpy for what is a few words most of the time: those are two loads and two stores, without a call.
[[gnu::always_inline]] inline void copy_small(void* to, const void* from, std::size_t n) noexcept {
  auto* const t = static_cast<char*>(to);
  const auto* const f = static_cast<const char*>(from);
  if (n >= 8 && n <= 16) [[likely]] {
    long long first, last;  // which may overlap
    std::memcpy(&first, f, sizeof first);
    std::memcpy(&last, f + n - sizeof last, sizeof last);
    std::memcpy(t, &first, sizeof first);
    std::memcpy(t + n - sizeof last, &last, sizeof last);
  } else if (n != 0) {
    std::memcpy(to, from, n);
  }
}

}  // namespace kfx::base
