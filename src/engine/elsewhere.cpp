// SPDX-License-Identifier: BSD-2-Clause
#include "engine/elsewhere.hpp"

#include <algorithm>
#include <array>
#include <mutex>

namespace kfx::engine::elsewhere {
namespace {

using detail::op_state;

struct waiter {
  op_state* op;
  op_id first;
  int verdict = 0;
};

std::atomic<bool> any_failure{false};

struct table {
  std::mutex mutex;
  std::vector<waiter> waiters;
  std::array<op_id, 4096> failures{};
  std::size_t next_failure = 0;

  std::vector<waiter>::iterator find(const op_state& o) {
    return std::find_if(waiters.begin(), waiters.end(), [&o](const waiter& w) { return w.op == &o; });
  }
};

table& all() {
  static auto* t = new table;
  return *t;
}

}  // namespace

std::atomic<unsigned> waiting{0};

void enter(op_state& o) {
  std::lock_guard lock(all().mutex);
  all().waiters.push_back({&o, o.after});
  waiting.fetch_add(1, std::memory_order_seq_cst);
}

void leave(op_state& o) noexcept {
  if (waiting.load(std::memory_order_relaxed) == 0) return;
  std::lock_guard lock(all().mutex);
  const auto at = all().find(o);
  if (at == all().waiters.end()) return;
  *at = all().waiters.back();
  all().waiters.pop_back();
  waiting.fetch_sub(1, std::memory_order_relaxed);
}

int told(const op_state& o) noexcept {
  std::lock_guard lock(all().mutex);
  const auto at = all().find(o);
  return at == all().waiters.end() ? 0 : at->verdict;
}

std::vector<op_state*> tell(op_id id, bool ok) {
  std::vector<op_state*> to_submit;
  std::lock_guard lock(all().mutex);
  for (waiter& w : all().waiters) {
    if (w.first != id || w.verdict != 0) continue;
    w.verdict = ok ? 1 : -1;
    const std::uint32_t old = w.op->bits.fetch_or(detail::op_told | detail::op_queued, std::memory_order_acq_rel);
    if (!(old & detail::op_queued)) to_submit.push_back(w.op);
  }
  return to_submit;
}

void note_failure(op_id id) {
  table& t = all();
  std::lock_guard lock(t.mutex);
  t.failures[t.next_failure] = id;
  t.next_failure = (t.next_failure + 1) % t.failures.size();
  any_failure.store(true, std::memory_order_release);
}

bool has_failed(op_id id) {
  if (!any_failure.load(std::memory_order_acquire)) return false;
  std::lock_guard lock(all().mutex);
  return std::find(all().failures.begin(), all().failures.end(), id) != all().failures.end();
}

}  // namespace kfx::engine::elsewhere
