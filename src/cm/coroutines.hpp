// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What every file with coroutines of the connection manager includes.
///
/// They take references: whoever awaits them keeps what those refer to. And no co_await stands in one expression with
/// temporaries that have destructors: GCC 12 destroys some of those twice.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

// GCC 12 sometimes inlines only one half of Asio's pair of functions that allocate and free coroutine frames, and then
// takes the two for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace kfx::cm {

/// The completion token: errors are values, and a coroutine that is cancelled ends at its next co_await.
inline constexpr auto quiet = boost::asio::as_tuple(boost::asio::use_awaitable);

}  // namespace kfx::cm
