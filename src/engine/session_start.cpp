// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How ops enter a session.

#include <time.h>

#include <algorithm>
#include <utility>

#include "engine/partition.hpp"
#include "engine/session.hpp"
#include "engine/session_emit.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {
/// Good to a few milliseconds, at a fifth of the price of the fine clock.
std::int64_t coarse_now() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

void session::see_when_used() noexcept { last_used_ = coarse_now(); }

void session::ask_time() noexcept {
  timed_ = true;
  round_now_ = std::max(round_now_, coarse_now());  // another thread may have been here with a later one
}

void session::start(op_state& o) {
  if (o.kind != verb::offer) {
    ++live_ops_;
    ++requests_;
  }
  if ((o.options & opt_payload) && std::exchange(o.after, 0) != id) {
    o.imm = 0;  // the message was the former session's, and may be gone
    o.error = static_cast<int>(errc::session_lost);
  }
  if (stopped.load(std::memory_order_relaxed)) return finish(o, make_error_code(errc::node_stopped));
  see_when_used();
  if (o.kind == verb::write || o.kind == verb::read) {
    const std::uint64_t owner = std::exchange(o.bytes, 0);
    const bool other_life = owner != remote.incarnation && remote.incarnation != 0 && !(o.options & opt_payload);
    if (other_life && o.error == 0) o.error = static_cast<int>(errc::stale_region);
  }
  if (o.error != 0) return finish(o, detail::error_of(o));  // found wrong when it was submitted
  if (o.options & opt_offer) {
    if (const std::error_code spent = claim_offer(o)) return finish(o, spent);
  }
  if (o.timer.expiry > 0) {
    if (o.timer.expiry <= now_ns()) {
      o.timer.expiry = 0;  // the wheel does not know it
      return finish(o, make_error_code(errc::timed_out));
    }
    home->set_timer(o, o.timer.expiry);
  } else {
    o.timer.expiry = -last_used_;  // when it began, for the limit without progress
  }
  if (o.kind == verb::offer) {
    home->keys.insert(o.key, {nullptr, &o});
    o.stage = stage_wire;
    wire_.push_back(o);
    return;
  }
  if (!link_) {  // a session with a link is ticked anyway
    home->owner().want_ticks();
    home->owner().want_link(*this);
  }
  if (o.after != 0) return home->wait_after(o);
  enqueue_inline(o);
}

/// One transfer an offer: once the op that ends it is under way, no other may begin. Seen here, because one-sided
/// transfers ask nobody at the target.
std::error_code session::claim_offer(const op_state& o) {
  if (closing_offers_.find(o.key)) return make_error_code(errc::offer_used);
  if (o.options & opt_last) closing_offers_.insert(o.key, o.id);
  return {};
}

/// From here on its owner knows, or it was not used.
void session::unclaim_offer(const op_state& o) noexcept {
  const op_id* by = closing_offers_.find(o.key);
  if (by && *by == o.id) closing_offers_.erase(o.key);
}

void session::enqueue_started(op_state& o) { enqueue(o); }

}  // namespace kfx::engine
