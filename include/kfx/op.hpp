// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// One operation under way, and how to wait for it.

#include <chrono>
#include <coroutine>
#include <string>
#include <type_traits>
#include <utility>

#include "kfx/detail/op_state.hpp"
#include "kfx/error.hpp"
#include "kfx/types.hpp"

namespace kfx {

/// An operation under way: exactly one terminal result, always. Move-only; one thread at a time, except
/// `cancel()`, which any thread may call while the handle lives.
///
/// **The destructor cancels and waits until the op's memory is quiet**, so buffers on the stack and exceptions are
/// safe. Letting it go on is said with `detach()`; then the buffers must outlive it.
///
/// One that was made by default, moved from, detached or given to `then` or a token is empty: it may be assigned to,
/// destroyed, and asked whether it is `valid()`; nothing else.
template <class T>
class [[nodiscard]] op {
 public:
  op() = default;
  explicit op(detail::op_state* s) noexcept : s_(s) {}
  op(op&& o) noexcept : s_(std::exchange(o.s_, nullptr)) {}
  op& operator=(op&& o) noexcept {
    if (this != &o) {
      if (s_) detail::abandon(*s_);
      s_ = std::exchange(o.s_, nullptr);
    }
    return *this;
  }
  ~op() {
    if (s_) detail::abandon(*s_);
  }

  bool valid() const noexcept { return s_ != nullptr; }
  /// For `.after`, and for logs.
  op_id id() const noexcept { return s_->id; }
  /// Done: `result()` stands and the memory is quiet.
  bool ready() const noexcept { return s_->is_done(); }

  /// Waits, moving frames itself meanwhile. In a handler of this node: `would_deadlock`, always, and the op goes on;
  /// there `ready()` and `result()` tell, or `then` and tokens.
  kfx::result<T> complete() {
    if (auto e = detail::wait(*s_, clock::time_point::max())) return e;
    return result();
  }
  /// The same for so long at most; `timed_out` from here leaves the op running (`ready()` tells which it was).
  kfx::result<T> complete(clock::duration limit) {
    if (auto e = detail::wait(*s_, clock::now() + limit)) return e;
    return result();
  }

  /// The outcome. Before `ready()`: `std::errc::operation_in_progress`.
  kfx::result<T> result() const {
    if (!ready()) return std::make_error_code(std::errc::operation_in_progress);
    if (auto e = detail::error_of(*s_)) return e;
    if constexpr (std::is_same_v<T, remote_region>)
      return detail::token_of(*s_);
    else
      return done{static_cast<std::size_t>(s_->bytes), s_->method};
  }

  /// Runs `f(result<T>)` on the node's executor when done, and lets the handle go. Never inside this call.
  template <class F>
  void then(F f) && {
    struct closure {
      F f;
      static void run(detail::op_state* s, void* arg) {
        closure* c = static_cast<closure*>(arg);
        F local(std::move(c->f));
        c->~closure();
        detail::closure_free(c, sizeof(closure));
        local(op(s).take());
      }
    };
    auto* c = new (detail::closure_allocate(sizeof(closure))) closure{std::move(f)};
    detail::set_handler(*std::exchange(s_, nullptr), &closure::run, c);
  }

  /// Asks it to end early; the result follows (`cancelled`, or what was faster). Any thread.
  void cancel() noexcept { detail::cancel(*s_); }
  /// Lets it go on without a handle; its buffers must outlive it, its result is dropped.
  void detach() noexcept { detail::release(*std::exchange(s_, nullptr)); }
  /// Verb and peer in one sentence, and: for a failure cause, remedy and transport; before `ready()` what it waits for,
  /// as far as that is known; for a success what was done. The transport is the one of now, save where the op ended
  /// with its session: then the one that was lost last.
  std::string explain() const { return detail::explain(*s_); }

  /// As an Asio operation with the signature `void(result<T>)`: what `co_await peer.write(…)` is in an
  /// `asio::awaitable`, where it resumes on the coroutine's executor (which must outlive the op) and takes part in its
  /// cancellation. Gives the handle up. Defined in detail/initiate.hpp.
  template <class Token>
  requires(!std::is_pointer_v<std::remove_cvref_t<Token>>) auto operator()(Token&& token) &&;

  /// `co_await op` in any other coroutine type; resumes on the node's executor with `result<T>`.
  auto operator co_await() & noexcept { return awaiter{s_}; }
  auto operator co_await() && noexcept { return awaiter{s_}; }

  /// For the library: gives up ownership.
  detail::op_state* release_state() noexcept { return std::exchange(s_, nullptr); }
  detail::op_state* state() const noexcept { return s_; }

 private:
  struct awaiter {
    detail::op_state* s;
    bool await_ready() const noexcept { return s->is_done(); }
    void await_suspend(std::coroutine_handle<> h) const noexcept {
      detail::set_handler(
          *s, [](detail::op_state*, void* p) { std::coroutine_handle<>::from_address(p).resume(); }, h.address());
    }
    kfx::result<T> await_resume() const {
      if (auto e = detail::error_of(*s)) return e;
      if constexpr (std::is_same_v<T, remote_region>)
        return detail::token_of(*s);
      else
        return done{static_cast<std::size_t>(s->bytes), s->method};
    }
  };
  kfx::result<T> take() { return result(); }

  detail::op_state* s_ = nullptr;
};

}  // namespace kfx
