// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// From a verb and a completion token to a running op.

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <type_traits>
#include <utility>

#include "kfx/op.hpp"

namespace kfx {
/// The default completion token: a verb returns its `op`.
struct as_op_t {};
inline constexpr as_op_t as_op{};
}  // namespace kfx

namespace kfx::detail {

/// Marks handlers without an executor of their own: they run on the node's.
struct node_executor_tag {};

/// A completion handler waiting for its op. Lives in memory of the handler's associated allocator (or of the
/// closure pool, when that is the default one).
/// `Outcome`: void, and it gets `(error_code, T)`, or a `result<T>`.
template <class T, class Handler, class Outcome = void>
struct waiting_handler {
  using executor = boost::asio::associated_executor_t<Handler, boost::asio::system_executor>;
  using associated = boost::asio::associated_allocator_t<Handler, std::allocator<void>>;
  static constexpr bool pooled = std::is_same_v<associated, std::allocator<void>>;
  static constexpr bool own_executor = !std::is_same_v<executor, boost::asio::system_executor>;
  using allocator = typename std::allocator_traits<associated>::template rebind_alloc<waiting_handler>;
  using work = std::decay_t<decltype(boost::asio::prefer(std::declval<executor>(),
                                                         boost::asio::execution::outstanding_work.tracked))>;

  Handler handler;
  work ex;

  explicit waiting_handler(Handler&& h)
      : handler(std::move(h)),
        ex(boost::asio::prefer(boost::asio::get_associated_executor(handler, boost::asio::system_executor()),
                               boost::asio::execution::outstanding_work.tracked)) {}

  static waiting_handler* make(Handler&& h) {
    if constexpr (pooled) {
      return new (closure_allocate(sizeof(waiting_handler))) waiting_handler(std::move(h));
    } else {
      allocator a(boost::asio::get_associated_allocator(h));
      return new (std::allocator_traits<allocator>::allocate(a, 1)) waiting_handler(std::move(h));
    }
  }
  static void run(op_state* s, void* arg) {
    auto* self = static_cast<waiting_handler*>(arg);
    Handler h(std::move(self->handler));
    work keep(std::move(self->ex));
    self->destroy_after_move(h);
    if constexpr (own_executor)
      boost::asio::dispatch(keep, [h = std::move(h), o = op<T>(s)]() mutable { deliver(h, std::move(o)); });
    else
      deliver(h, op<T>(s));
  }

 private:
  /// Where the handler runs, which is where its slot may be touched; until that is cleared it refers to the op.
  static void deliver(Handler& h, op<T> o) {
    auto slot = boost::asio::get_associated_cancellation_slot(h);
    if (slot.is_connected()) slot.clear();
    const kfx::result<T> outcome = o.result();
    o = {};
    if constexpr (std::is_void_v<Outcome>) {
      // Made of an empty std::error_code, it would neither equal an empty one nor have the value 0.
      boost::system::error_code e;
      if (!outcome) e = outcome.error();
      std::move(h)(e, outcome ? *outcome : T{});
    } else {
      std::move(h)(outcome);
    }
  }
  // The allocator went with the handler that was moved out.
  void destroy_after_move(Handler& h) {
    if constexpr (pooled) {
      this->~waiting_handler();
      closure_free(this, sizeof(waiting_handler));
    } else {
      allocator a(boost::asio::get_associated_allocator(h));
      this->~waiting_handler();
      std::allocator_traits<allocator>::deallocate(a, this, 1);
    }
  }
};

/// Lets the handler wait for what `start()` makes.
template <class T, class Outcome, class Handler, class Start>
void wait_with(Handler handler, Start&& start) {
  using waiting_type = waiting_handler<T, Handler, Outcome>;
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  auto* waiting = waiting_type::make(std::move(handler));
  op_state* state = start();
  if (slot.is_connected()) {
    slot.assign([state, id = state->id](boost::asio::cancellation_type) {
      if (state->id == id) cancel(*state);
    });
  }
  set_handler(*state, &waiting_type::run, waiting);
}

/// `start()` makes the op; without a token it is returned as `op<T>`, else the token's handler gets its outcome.
template <class T, class Token, class Start>
auto initiate(Token&& token, Start start) {
  if constexpr (std::is_same_v<std::remove_cvref_t<Token>, as_op_t>) {
    return op<T>(start());
  } else {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, T)>(
        [](auto handler, Start s) { wait_with<T, void>(std::move(handler), s); }, token, std::move(start));
  }
}

}  // namespace kfx::detail

namespace kfx {

template <class T>
template <class Token>
requires(!std::is_pointer_v<std::remove_cvref_t<Token>>) auto op<T>::operator()(Token&& token) && {
  return boost::asio::async_initiate<Token, void(kfx::result<T>)>(
      [](auto handler, op self) {
        detail::wait_with<T, kfx::result<T>>(std::move(handler), [&self] { return self.release_state(); });
      },
      token, std::move(*this));
}

}  // namespace kfx
