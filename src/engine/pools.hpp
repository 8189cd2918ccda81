// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Memory of ops and what hangs on them. Of the process, not of a node, and never given back: a handle that outlives
/// its node, and an index that a peer sends, always lead to an op_state. Any thread; lock-free but for growing.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kfx/detail/op_state.hpp"

namespace kfx::engine {

class session;

/// A cleared op_state with a fresh id. Null when the system has no memory left.
detail::op_state* allocate_op() noexcept;
void free_op(detail::op_state&) noexcept;
/// By wire index; null when there was never one. It may be free or somebody else's: check `owner` and `kind`.
detail::op_state* find_op(std::uint32_t index) noexcept;

/// What an orphaned message needs of its session while somebody holds it.
void keep_session(detail::op_state& message, std::shared_ptr<session>);
void drop_kept_session(detail::op_state& message) noexcept;
/// A message whose session is gone and whose holder let go.
void free_orphan(detail::op_state&) noexcept;

/// 256 B, 4 KiB and 16 KiB come from pools, more from the heap. Throws std::bad_alloc.
void* pool_allocate(std::size_t bytes);
void pool_free(void*, std::size_t bytes) noexcept;

}  // namespace kfx::engine
