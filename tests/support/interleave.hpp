// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Runs a small program of a few threads in every order there is, and with every value that a load may return under
/// the release/acquire rules of C++, stale ones included. Finds what neither a sanitizer nor x86 shows: plain memory
/// that is read without having been handed over, wake-ups that are lost. Sequential consistency is not modelled: what
/// relies on it is judged as if it had asked for acquire and release.
///
/// Threads are coroutines on stacks of their own; every operation on an atomic or an event is a point where another
/// thread may go on. A program must not spin: it sleeps on events.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace kfx::model {

/// One execution's threads; made anew for each.
using program = std::vector<std::function<void()>>;

struct report {
  std::uint64_t executions = 0;
  bool complete = false;  ///< every one there is
  std::string failure;    ///< of the first that went wrong: what, and in which order things happened
};

struct bounds {
  std::uint64_t executions = 20'000'000;
  /// How often a thread that could go on is interrupted, where every order would be too many. Waking a sleeper and
  /// going on after another one has ended or slept do not count.
  std::uint64_t preemptions = ~std::uint64_t{0};
};

/// Runs what `make` returns until all orders within the bounds were tried, or one went wrong.
report explore(const std::function<program()>& make, const bounds& = {});

/// Something is wrong in the execution under way; ends it.
void fail(const std::string& what);

/// What stands behind the types below.
std::size_t new_location(std::uint64_t value);
std::uint64_t load(std::size_t location, bool acquire);
void store(std::size_t location, std::uint64_t value, bool release);
std::uint64_t modify(std::size_t location, const std::function<std::uint64_t(std::uint64_t)>&, bool acquire,
                     bool release);
void wait_until_set(std::size_t event);
void touch(const void* begin, std::size_t bytes, bool writes);

inline bool acquires(std::memory_order o) noexcept {
  return o != std::memory_order_relaxed && o != std::memory_order_release;
}
inline bool releases(std::memory_order o) noexcept {
  return o != std::memory_order_relaxed && o != std::memory_order_acquire && o != std::memory_order_consume;
}

template <class T>
class atomic {
 public:
  explicit atomic(T v = {}) : at_(new_location(static_cast<std::uint64_t>(v))) {}
  T load(std::memory_order o) const { return static_cast<T>(model::load(at_, acquires(o))); }
  void store(T v, std::memory_order o) { model::store(at_, static_cast<std::uint64_t>(v), releases(o)); }
  T exchange(T v, std::memory_order o) {
    return change([v](T) { return v; }, o);
  }
  T fetch_and(T mask, std::memory_order o) {
    return change([mask](T old) { return static_cast<T>(old & mask); }, o);
  }

 private:
  template <class F>
  T change(F f, std::memory_order o) {
    return static_cast<T>(modify(
        at_, [&](std::uint64_t v) { return static_cast<std::uint64_t>(f(static_cast<T>(v))); }, acquires(o),
        releases(o)));
  }
  std::size_t at_;
};

/// The place of an eventfd.
class event {
 public:
  event() : at_(new_location(0)) {}
  int fd() const noexcept { return 0; }
  void set() {
    modify(
        at_, [](std::uint64_t) { return 1; }, true, true);
  }
  void reset() {
    modify(
        at_, [](std::uint64_t) { return 0; }, true, true);
  }
  void wait() { wait_until_set(at_); }

 private:
  std::size_t at_;
};

struct sync {
  template <class T>
  using atomic = model::atomic<T>;
  using event = model::event;
  static void wrote(const void* p, std::size_t n) { touch(p, n, true); }
  static void reads(const void* p, std::size_t n) { touch(p, n, false); }
};

}  // namespace kfx::model
