// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// How coroutines here wait for kfx operations.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <coroutine>
#include <exception>
#include <system_error>
#include <tuple>
#include <utility>

#include <kfx/op.hpp>
#include <kfx/types.hpp>

namespace store {

/// `co_await peer.write(…, outcome)` gives a tuple of error and value instead of throwing.
inline constexpr auto outcome = boost::asio::as_tuple(boost::asio::use_awaitable);

/// The value, or std::system_error with the operation's code.
template <class T>
T value_of(std::tuple<boost::system::error_code, T> done, const char* what) {
  if (const std::error_code e = std::get<0>(done)) throw std::system_error(e, what);
  return std::get<1>(done);
}

/// A coroutine nobody waits for; its frame goes when it ends.
struct relay {
  struct promise_type {
    relay get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

template <class Handler>
relay hand_over(kfx::op<kfx::done>& op, Handler handler) {
  (void)co_await op;
  const auto ex = boost::asio::get_associated_executor(handler);
  boost::asio::post(ex, std::move(handler));  // from here on the op may be gone
}

/// Waits until the op is done and leaves it at hand, for what a completion token has no room for: `explain()`
/// afterwards, and `cancel()` by somebody else meanwhile.
inline boost::asio::awaitable<void> settled(kfx::op<kfx::done>& op) {
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
      [&op](auto handler) { hand_over(op, std::move(handler)); }, boost::asio::use_awaitable);
}

}  // namespace store
