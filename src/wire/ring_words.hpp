// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The words of a ring as processors have them. Tests put a model in its place that tries every order of events.

#include <cstddef>
#include <cstdint>

#include "base/mapped_twice.hpp"

namespace kfx::wire {

struct ring_words {
  /// How far a reader is, in a page of its own.
  using count = std::uint64_t;

  static std::uint64_t load(const count& c) noexcept {
    const std::uint64_t v = __atomic_load_n(&c, __ATOMIC_ACQUIRE);
    base::acquires(&c);
    return v;
  }
  static void store(count& c, std::uint64_t v) noexcept {
    base::releases(&c);
    __atomic_store_n(&c, v, __ATOMIC_RELEASE);
  }
  static std::uint64_t load(const std::byte* line) noexcept { return load(*reinterpret_cast<const count*>(line)); }
  static void store(std::byte* line, std::uint64_t v) noexcept { store(*reinterpret_cast<count*>(line), v); }
  /// A zero that the next `store` of a line makes visible.
  static void clear(std::byte* line) noexcept {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(line), std::uint64_t{0}, __ATOMIC_RELAXED);
  }
  /// Between a chunk's bytes and its word, where stores may pass each other.
  static void fence() noexcept {}

  /// Plain memory that the other side reads or wrote.
  static void wrote(const void*, std::size_t) noexcept {}
  static void reads(const void*, std::size_t) noexcept {}
};

}  // namespace kfx::wire
