// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Buffers of one size that busy links borrow and idle links do not hold.

#include <cstddef>

namespace kfx::wire {

inline constexpr std::size_t chunk_size = 64 * 1024;

/// `chunk_size` bytes, uninitialised, or null when the system has no memory. The most recently returned one comes
/// first: links that take turns on a thread share warm cache lines.
std::byte* acquire_chunk() noexcept;
/// Gives it back, on any thread; null is ignored. A thread keeps a few, the rest goes back to the system.
void release_chunk(std::byte* chunk) noexcept;

}  // namespace kfx::wire
