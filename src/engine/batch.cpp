// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/batch.hpp"

#include <vector>

#include "engine/futex.hpp"
#include "engine/partition.hpp"

namespace kfx {

using detail::op_state;

/// `pending` counts ops that are not done; `suspended` is set in it while a coroutine waits. The op that takes the
/// count to zero touches nothing afterwards, because the batch may be gone then, except to resume that coroutine, which
/// keeps the batch. The address is known to the ops, so it does not move.
struct batch::state {
  static constexpr std::uint32_t suspended = 1u << 31;
  std::vector<op_state*> ops;
  std::atomic<std::uint32_t> pending{0};
  void* coroutine = nullptr;
  std::size_t waited = 0;

  static void one_done(op_state* o, void* arg) {
    auto* s = static_cast<state*>(arg);
    if (s->pending.fetch_sub(1, std::memory_order_acq_rel) != (suspended | 1)) return;
    void* const c = s->coroutine;
    s->pending.store(0, std::memory_order_release);
    engine::partition::resume_on(*o, c);
  }
};

batch::batch() : s_(std::make_unique<state>()) {}
batch::batch(batch&&) noexcept = default;
batch& batch::operator=(batch&& o) noexcept {
  if (this != &o) {
    if (s_) {
      cancel();
      clear();
    }
    s_ = std::move(o.s_);
  }
  return *this;
}
batch::~batch() {
  if (!s_) return;
  cancel();
  clear();
}

void batch::add_state(op_state* o) {
  s_->ops.push_back(o);
  s_->pending.fetch_add(1, std::memory_order_relaxed);
  detail::set_handler(*o, &state::one_done, s_.get(), true);
}

std::size_t batch::size() const noexcept { return s_->ops.size(); }

bool batch::ready() const noexcept { return s_->pending.load(std::memory_order_acquire) == 0; }

result<done> batch::outcome() const {
  done total;
  for (const op_state* o : s_->ops) {
    if (auto e = detail::error_of(*o)) return e;
    total.bytes += static_cast<std::size_t>(o->bytes);
    if (o->method != method::none) total.method = o->method;
  }
  return total;
}

result<done> batch::complete() { return complete(clock::duration::max()); }

result<done> batch::complete(clock::duration limit) {
  const auto until = limit == clock::duration::max() ? clock::time_point::max() : clock::now() + limit;
  // Each wait moves everybody's frames: by the time the first is done, most of the others are.
  for (; s_->waited < s_->ops.size(); ++s_->waited)
    if (auto e = detail::wait(*s_->ops[s_->waited], until)) return e;
  while (!ready()) engine::cpu_relax();  // the last one's handler is about to return
  return outcome();
}

result<done> batch::operator[](std::size_t i) const {
  const op_state& o = *s_->ops.at(i);
  if (!o.is_done()) return std::make_error_code(std::errc::operation_in_progress);
  if (auto e = detail::error_of(o)) return e;
  return done{static_cast<std::size_t>(o.bytes), o.method};
}

std::string batch::explain(std::size_t i) const { return detail::explain(*s_->ops.at(i)); }

void batch::cancel() noexcept {
  for (op_state* o : s_->ops) detail::cancel(*o);
}

void batch::clear() {
  for (op_state* o : s_->ops)
    if (!o->is_done()) o->home->wait_quiet(*o);
  while (!ready()) engine::cpu_relax();
  for (op_state* o : s_->ops) detail::release(*o);
  s_->ops.clear();
  s_->waited = 0;
}

bool batch::suspend(void* coroutine) noexcept {
  s_->coroutine = coroutine;
  if (s_->pending.fetch_or(state::suspended, std::memory_order_acq_rel) != 0) return true;
  s_->pending.store(0, std::memory_order_relaxed);  // all were done
  return false;
}

}  // namespace kfx
