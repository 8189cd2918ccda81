// SPDX-License-Identifier: BSD-2-Clause
// What happens by itself: answers that do not come are given up, what is not well is pinged.
#include <algorithm>

#include "core.hpp"

namespace lnet {

void core::watch() {
  constexpr auto never = clock::time_point::max();
  auto next_recovery = never;  // while all is well
  for (;;) {
    const auto now = clock::now();
    // No answer that is asked for from now on is due sooner.
    clock::time_point next = now + options_.transaction_timeout;
    auto late = things.expire(now, next);
    if (!late.empty()) paths_->count_timeouts(late.size());
    things.deliver_all(std::move(late));
    if (now >= next_recovery) {
      recover();
      next_recovery = never;
    }
    if (paths_->all_well())
      next_recovery = never;
    else if (next_recovery == never)
      next_recovery = now + options_.recovery_interval;
    next = std::min(next, next_recovery);
    std::unique_lock lock(watch_mutex_);
    wake_.wait_until(lock, next, [this] { return stopping_ || poked_; });
    if (stopping_) return;
    poked_ = false;
  }
}

/// Something is not well any more.
void core::poke() {
  std::lock_guard lock(watch_mutex_);
  poked_ = true;
  wake_.notify_all();
}

/// Each ping that comes back makes its two ends healthier, as everything does that comes; one that fails costs them no
/// more than anything else.
void core::recover() {
  for (const recovery& r : paths_->unwell())
    start_ping(r.self, r.peer, true, [this, r](int, const std::vector<nid>&) { paths_->recovered(r); });
}

}  // namespace lnet
