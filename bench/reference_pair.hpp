// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Two processes, each on its CPU, and memory that both see.

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>

#include "reference.hpp"

namespace bench::reference {

/// Zeroed, shared with children.
class shared_pages {
 public:
  explicit shared_pages(std::size_t bytes);
  shared_pages(const shared_pages&) = delete;
  shared_pages& operator=(const shared_pages&) = delete;
  ~shared_pages();
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
  std::size_t bytes_;
};

/// Another process that runs `work` and ends; this one is tied to its CPU from now on.
class other_side {
 public:
  other_side(const place&, const std::function<void()>& work);
  other_side(const other_side&) = delete;
  other_side& operator=(const other_side&) = delete;
  /// Waits for its end. Throws when that was not an orderly one.
  void join();
  /// Ends it if it has not ended.
  ~other_side();
  pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_;
};

void pin(int cpu);

using clock = std::chrono::steady_clock;
inline double ns_since(clock::time_point t) {
  return std::chrono::duration<double, std::nano>(clock::now() - t).count();
}

/// Nanoseconds for one of `body(n)`'s n rounds: the median of chunks, each of about that long, so that whoever else
/// gets the CPU for a while does not count.
double time_of(const place&, std::chrono::nanoseconds chunk, const std::function<void(unsigned n)>& body);

}  // namespace bench::reference
