// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What handles do with their op_state: wait, cancel, explain, let go.

#include <string>

#include "engine/partition.hpp"
#include "engine/pools.hpp"

namespace kfx::detail {

using engine::partition;

namespace {

std::int64_t steady(clock::time_point t) noexcept {
  if (t == clock::time_point::max()) return INT64_MAX;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}

const char* name_of(verb v) noexcept {
  switch (v) {
    case verb::write:
      return "write";
    case verb::read:
      return "read";
    case verb::send:
      return "send";
    case verb::commit:
      return "commit";
    case verb::open:
      return "open";
    case verb::offer:
      return "offer";
    case verb::reject:
      return "reject";
    case verb::reply:
      return "reply";
    default:
      return "op";
  }
}

}  // namespace

std::error_code error_of(const op_state& o) noexcept {
  if (o.error == 0) return {};
  if (o.error_domain == 1) return {o.error, std::generic_category()};
  return {o.error, error_category()};
}

remote_region token_of(const op_state& o) noexcept {
  return remote_region(
      remote_region::fields{o.key, o.imm, o.offset, o.length, o.direct, o.epoch, static_cast<std::uint16_t>(o.moved)});
}

void cancel(op_state& o) noexcept {
  if (o.is_done()) return;
  if (o.bits.fetch_or(op_cancel, std::memory_order_acq_rel) & op_cancel) return;
  o.home->submit(o);
}

std::error_code wait(op_state& o, clock::time_point until) noexcept {
  partition* const handler = engine::handler_of_thread;
  // Refused even when it is done: else small transfers would pass where large ones do not. (The node of one that is
  // done may be gone.)
  if (handler && (handler == o.home || (!o.is_done() && &handler->owner() == &o.home->owner())))
    return make_error_code(errc::would_deadlock);
  if (o.is_done()) return {};
  if (o.home->wait_for(o, steady(until))) return {};
  return make_error_code(errc::timed_out);
}

void set_handler(op_state& o, void (*f)(op_state*, void*), void* arg, bool inline_ok) noexcept {
  o.on_done = f;
  o.on_done_arg = arg;
  const std::uint32_t add = op_handler | (inline_ok ? op_inline : 0u);
  if (!(o.bits.fetch_or(add, std::memory_order_acq_rel) & op_done)) return;
  // It was faster. Its node may even be gone.
  if (inline_ok || !partition::post_handler(o.home, o)) f(&o, arg);
}

void release(op_state& o) noexcept {
  // The engine is through with it: nobody else changes it any more.
  const std::uint32_t seen = o.bits.load(std::memory_order_acquire);
  if ((seen & op_engine_gone) && !(seen & op_queued)) return engine::free_op(o);
  const std::uint32_t others = o.bits.fetch_or(op_user_gone, std::memory_order_acq_rel);
  if ((others & op_engine_gone) && !(others & op_queued)) engine::free_op(o);
}

void abandon(op_state& o) noexcept {
  if (!o.is_done()) {
    cancel(o);
    o.home->wait_quiet(o);
  }
  release(o);
}

std::string explain(const op_state& o) {
  if (!o.is_done() || error_of(o)) return partition::explain_op(o);
  return std::string(name_of(o.kind)) + " completed, " + std::to_string(o.bytes) + " bytes";
}

}  // namespace kfx::detail
