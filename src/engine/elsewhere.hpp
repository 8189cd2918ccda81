// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Ops that come after an op of another partition, whose baton their own partition does not hold. Of the process,
/// like the ops' ids; behind a mutex, which nobody takes who does not use `.after` across partitions, or fails.

#include <atomic>
#include <vector>

#include "kfx/detail/op_state.hpp"

namespace kfx::engine::elsewhere {

/// Ops in the table. Protocol: a waiter enters the table, then looks whether the op it waits for is done; that op is
/// marked as done, then its partition looks at this count. All four are sequentially consistent, so one sees the other.
extern std::atomic<unsigned> waiting;

/// `o` waits for `o.after`. Its partition's baton is held.
void enter(detail::op_state& o);
/// It does not any more, whether or not it was told. The same baton.
void leave(detail::op_state& o) noexcept;
/// What it was told: 0 nothing yet, 1 that op took effect, -1 it failed.
int told(const detail::op_state& o) noexcept;

/// The op of that id ended: those to be submitted to their homes, already marked as in the queue, so that they stay.
std::vector<detail::op_state*> tell(op_id id, bool ok);

/// Before a failure is published: ops that come later are to know. The last 4096 are.
void note_failure(op_id id);
bool has_failed(op_id id);

}  // namespace kfx::engine::elsewhere
