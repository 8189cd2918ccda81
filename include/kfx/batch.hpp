// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A number of operations awaited together.

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <system_error>

#include "kfx/op.hpp"

namespace kfx {

/// Owns ops and waits for all of them with one wake-up. One thread at a time. Reusable: `clear()` keeps its
/// memory. The destructor cancels what still runs and waits until all memory is quiet.
class batch {
 public:
  batch();
  batch(batch&&) noexcept;
  batch& operator=(batch&&) noexcept;
  ~batch();

  /// Takes the op over; its place is `size()` before the call.
  template <class T>
  void add(op<T>&& o) {
    add_state(o.release_state());
  }

  std::size_t size() const noexcept;
  bool ready() const noexcept;  ///< all of them
  /// Waits for all. The value: bytes of all. The error: the first entry's that failed, in the order added.
  result<done> complete();
  result<done> complete(clock::duration limit);  ///< `timed_out`: they go on
  /// Each entry's own outcome, once it is ready.
  result<done> operator[](std::size_t i) const;
  std::string explain(std::size_t i) const;
  void cancel() noexcept;  ///< any thread
  /// Forgets entries that are all ready (waits for them otherwise).
  void clear();

  /// `co_await batch`: as `complete()`, resumed on the node's executor, once. Not in an `asio::awaitable`.
  auto operator co_await() noexcept {
    struct awaiter {
      batch& b;
      bool await_ready() const noexcept { return b.ready(); }
      bool await_suspend(std::coroutine_handle<> h) const noexcept { return b.suspend(h.address()); }
      result<done> await_resume() const { return b.outcome(); }
    };
    return awaiter{*this};
  }

 private:
  struct state;
  void add_state(detail::op_state*);
  bool suspend(void* coroutine) noexcept;
  result<done> outcome() const;
  std::unique_ptr<state> s_;
};

}  // namespace kfx
