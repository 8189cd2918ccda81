// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Sessions of a partition; ops that wait for others; waiting threads.

#include <sched.h>

#include <algorithm>

#include "engine/elsewhere.hpp"
#include "engine/futex.hpp"
#include "engine/partition.hpp"
#include "engine/pools.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

void partition::add_session(const std::shared_ptr<session>& s) {
  auto free_slot = std::find(slots_.begin(), slots_.end(), nullptr);
  if (free_slot == slots_.end()) free_slot = slots_.insert(slots_.end(), nullptr);
  *free_slot = s.get();
  s->slot = static_cast<std::uint32_t>(free_slot - slots_.begin());
  sessions_.push_back(s);
}

void partition::remove_session(session& s) {
  if (s.slot < slots_.size() && slots_[s.slot] == &s) slots_[s.slot] = nullptr;
  std::erase(hot_, &s);
  std::erase(dirty_, &s);
  forget_strands(s);
  s.hot = s.dirty = false;
  const auto at = std::find_if(sessions_.begin(), sessions_.end(), [&s](const auto& p) { return p.get() == &s; });
  if (at == sessions_.end()) return;
  if (s.running_strands != 0) leaving_.push_back(*at);
  sessions_.erase(at);
}

void partition::forget_left() {
  std::erase_if(leaving_, [](const auto& s) { return s->running_strands == 0; });
}

void partition::forget_strands(session& s) {
  strand* list = std::exchange(ready_first_, nullptr);
  ready_last_ = nullptr;
  while (list) {
    strand* next = list->next;
    if (list->owner != &s) ready_strand(*list);
    list = next;
  }
}

void partition::stop_sessions() {
  drain();
  for (const auto& s : sessions_) s->end_all(make_error_code(errc::node_stopped));
  drain();
}

void partition::revoke_key(std::uint64_t key) {
  keys.erase(key);
  for (const auto& s : sessions_) s->region_gone(key);
}

void partition::tick(std::int64_t now) {
  baton_.lock();
  drain();
  // A session may end, and remove itself, in its tick.
  const auto all = sessions_;
  for (const auto& s : all) s->tick(now);
  expire(now);
  flush_dirty();
  release();
}

// --- ops that start after others

void partition::wait_after(op_state& o) {
  o.stage = stage_waiting;
  after_waiters_.push_back(&o);
  op_state* first = find_op(static_cast<std::uint32_t>(o.after & 0xffffff));
  // Of another partition, it may end, and be another op, at any time; what was read of it before its id was is its own.
  const auto running = [&] {
    return first && !(first->bits.load(std::memory_order_seq_cst) & detail::op_done) && first->id == o.after;
  };
  if (running()) {
    if (first->home != this) elsewhere::enter(o);
    if (running()) return;
  }
  const bool failed = (first && first->id == o.after && detail::error_of(*first)) || elsewhere::has_failed(o.after);
  go_on_after(o, !failed);
}

/// The op it came after has ended.
void partition::go_on_after(op_state& o, bool ok) {
  forget_waiter(o);
  o.stage = stage_new;
  if (ok)
    o.owner->enqueue_started(o);
  else
    o.owner->cancel(o, make_error_code(errc::dependency_failed));
}

void partition::wake_waiters_of(op_id id, bool ok) {
  for (std::size_t i = 0; i < after_waiters_.size();) {
    op_state& o = *after_waiters_[i];
    if (o.after != id) {
      ++i;
      continue;
    }
    go_on_after(o, ok);
    i = 0;  // what just ended may have been waited for as well
  }
}

void partition::tell_elsewhere(op_id id, bool ok) {
  for (op_state* o : elsewhere::tell(id, ok)) o->home->push(*o);
}

void partition::forget_waiter(op_state& o) {
  std::erase(after_waiters_, &o);
  elsewhere::leave(o);
}

void partition::end_waiters(session& s, std::error_code why, bool all) {
  if (!all) return;
  std::vector<op_state*> mine;
  each_waiter(s, [&mine](op_state& o) { mine.push_back(&o); });
  for (op_state* o : mine) s.cancel(*o, why);
}

}  // namespace kfx::engine
