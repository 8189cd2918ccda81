// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// How coroutines here wait for kfx operations.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <system_error>
#include <tuple>

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

}  // namespace store
