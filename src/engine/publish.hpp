// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The last steps of an op: its result stands, its memory goes back. Inline, because every op takes them.

#include "engine/elsewhere.hpp"
#include "engine/partition.hpp"
#include "engine/pools.hpp"

namespace kfx::engine {

/// By one, by the only one who changes it.
template <class T>
void add(std::atomic<T>& counter, T by) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

void release_pooled(detail::op_state&) noexcept;
inline void release_resources(detail::op_state& o) noexcept {
  if (o.options & opt_pooled) release_pooled(o);
}

inline std::uint32_t partition::publish(detail::op_state& o, std::uint32_t also) {
  if (o.options & opt_counted) {
    o.options &= ~opt_counted;
    add(outstanding_, ~std::uint32_t{0});
  }
  const bool ok = o.error == 0;
  const op_id id = o.id;
  if (!ok) elsewhere::note_failure(id);
  const std::uint32_t old = o.bits.fetch_or(detail::op_done | also, std::memory_order_seq_cst);
  if (elsewhere::waiting.load(std::memory_order_seq_cst) != 0) tell_elsewhere(id, ok);
  if (old & (detail::op_handler | detail::op_waiter)) tell(o, old);
  return old;
}

inline void partition::publish_and_free(detail::op_state& o) {
  release_resources(o);
  const op_id id = o.id;
  // From here on it is its handle's. A handler counts as one: it lets go when it has run.
  const std::uint32_t old = publish(o, detail::op_engine_gone);
  if (!(old & (detail::op_handler | detail::op_queued)) && (old & detail::op_user_gone)) free_op(o);
  after_done(id, true);
}

}  // namespace kfx::engine
