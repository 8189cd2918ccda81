// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Rounds: what was asked for goes out, what came in is acted on; and who makes them, polling or waiting. A round that
/// finds nothing is most of them. Its few functions are one piece of code, because a processor has forgotten where to
/// return to when it comes back from a system call: each return of the way up costs about 25 cycles.

#include <sched.h>

#include <algorithm>

#include "engine/crowd.hpp"
#include "engine/futex.hpp"
#include "engine/partition.hpp"

namespace kfx::engine {

using detail::op_state;

namespace {
constexpr unsigned poll_budget = 64;         // frames a session gets before the next one has its turn
constexpr std::int64_t look_every = 10'000;  // ns between two looks at the links that are not hot
constexpr std::uint32_t least_around = 8, most_around = 1024;
constexpr std::size_t stream = 4;   // frames in one look that show that more are coming
constexpr unsigned most_looks = 4;  // before what they ask for leaves
// Polls with frames after which a link leaves the set to sleep on: what wakes nobody still costs each arrival.
constexpr unsigned stays_hot = 64;
constexpr std::size_t few_links = 2;
constexpr unsigned peeks = 24;
}  // namespace

[[gnu::always_inline]] inline unsigned session::poll(unsigned budget, bool alone) {
  take_late_ack();
  if (!link_) return 0;
  timed_ = false;
  if (alone && came_alone_ && found_nothing_ && link_->caps().looks_at_memory) home->alone_ = this;
  const auto r = link_->poll(*this, budget);
  home->alone_ = nullptr;
  unsent_ |= r.unsent;
  found_nothing_ = r.frames == 0;
  if (r.frames == 0 && !r.partial && !r.error && !doomed_) return 0;
  came_alone_ = r.frames == 1;
  if (r.frames != 0) {
    probes_ = 0;
    if (has_to_send()) home->make_dirty(*this);
  }
  if (r.frames != 0 || r.partial) {
    see_time();
    last_heard_ = round_now_;
    cold_polls = 0;
  }
  if (r.error || doomed_) end_link(r.error);
  return r.frames + (r.partial ? 1 : 0);
}

void partition::make_hot(session& s) {
  if (s.hot || !s.link()) return;
  s.hot = true;
  s.cold_polls = 0;
  hot_.push_back(&s);
}

void partition::flush_all_dirty(bool polled) {
  if (left_unsent_.load(std::memory_order_relaxed)) left_unsent_.store(false, std::memory_order_relaxed);
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    session& s = *dirty_[i];
    const bool held = polled && s.holds_ack();
    if (!held) s.send_all();
    s.dirty = false;
    if (!s.hot) make_hot(s);
    if (held || s.pending()) again_.push_back(&s);
  }
  dirty_.clear();
  if (again_.empty()) return;
  for (session* s : again_) make_dirty(*s);
  again_.clear();
}

/// After a poll, if the program polls again or answers soon, acks go along with what it asks for.
void partition::leave_polled() {
  if (dirty_.empty() || sleeping_.load(std::memory_order_relaxed) != 0) return leave();
  flush_all_dirty(true);
  if (!dirty_.empty()) leave_unsent();
  release();
}

/// The control thread sees to it if nobody else does.
void partition::leave_unsent() {
  left_unsent_.store(true, std::memory_order_relaxed);
  host_.watch_handlers();
}

[[gnu::always_inline]] inline void partition::begin_round() {
  if (!submissions_.empty()) drain();
  if (frames_) finish_dropped_elsewhere();
  flush_dirty();
  // The leader naps on the doorbell, which only this empties.
  const bool due = looks_ >= look_around_at_ && (watched_ != 0 || napping_.load(std::memory_order_relaxed));
  if (!due && !hot_.empty()) return;
  look_around();
}

/// Asks the kernel for links that are not looked at each time. About as often as `look_every` says, which is counted in
/// looks, because a clock costs as much as a look.
void partition::look_around() {
  const std::int64_t now = now_ns();
  if (now - looked_around_ < look_every)
    look_around_ = std::min(2 * look_around_, most_around);
  else
    look_around_ = std::max(look_around_ / 2, least_around);
  looked_around_ = now;
  look_around_at_ = looks_ + look_around_;
  find_active(0);
}

/// What came over the links in use.
[[gnu::always_inline]] inline std::size_t partition::look(bool handlers) {
  ++looks_;
  std::size_t n = 0;
  for (std::size_t i = 0; i < hot_.size();) {
    session& s = *hot_[i];
    const unsigned got = s.poll(poll_budget, handlers && !lone_);
    n += got;
    if (got != 0 && s.watched_fd >= 0 && !exposed_.load(std::memory_order_relaxed) && ++s.busy_polls > stays_hot)
      unwatch_link(s);
    const bool cold = got == 0 && ++s.cold_polls > (hot_.size() > 8 ? 200u : 4000u);
    if (!s.link() || (cold && cool(s))) {
      drop_hot(i);
      continue;
    }
    if (s.blocked() || s.ack_waits()) {  // room may have come, patience be at its end
      s.see_time();
      s.pump();
      s.poll_over();
    }
    if (s.unsent()) s.flush();
    ++i;
  }
  return n;
}

/// After a look: deadlines, not each time while frames come.
[[gnu::always_inline]] inline void partition::end_round(std::size_t frames) {
  if (wheel_.empty() || (frames != 0 && looks_ < expire_at_)) return;
  expire_at_ = looks_ + 8;
  expire(now_ns());
}

/// Nothing came. Most of the time between two rounds is that of the round itself, in which nobody looks: a while of
/// nothing but looking halves what a message waits for that. True: it came.
[[gnu::always_inline]] inline bool partition::comes_soon() {
  if (hot_.empty() || hot_.size() > few_links) return false;
  for (unsigned i = 0; i < peeks; ++i) {
    for (const session* s : hot_)
      if (s->sees_something()) return true;
    if (baton_.wanted() || !submissions_.empty()) return false;
  }
  return false;
}

inline std::size_t partition::one_round() {
  begin_round();
  std::size_t n = look(false);
  if (n == 0 && comes_soon()) n = look(false);
  end_round(n);
  return n;
}

void partition::expire(std::int64_t now) {
  wheel_.advance(now, [](detail::timer_links& t) {
    op_state* o = detail::from_timer(&t);
    if (o->owner) o->owner->cancel(*o, o->owner->out_of_time());
  });
}

/// A link nobody uses at the moment: acks go out, its descriptor is armed, which lasts until the next poll. False:
/// there is nothing to sleep on, it must be polled.
bool partition::cool(session& s) {
  s.take_late_ack();
  s.settle_acks();
  if (s.blocked()) s.pump();
  return s.flush() || watch_link(s);
}

/// A thread that moved frames waits or goes elsewhere.
void partition::hand_back() {
  if (sleeping_.load() == 0) return;
  baton_.lock();
  drain();
  leave();
}

bool partition::arm_for_sleeper() {
  cool_all();
  return !hot_.empty();
}

void partition::drop_hot(std::size_t i) {
  hot_[i]->hot = false;
  hot_[i] = hot_.back();
  hot_.pop_back();
}

void partition::cool_all() {
  for (std::size_t i = 0; i < hot_.size() && dirty_.empty();) {
    session& s = *hot_[i];
    if (cool(s))
      drop_hot(i);
    else
      ++i;
  }
}

std::size_t partition::poll(bool handlers) {
  if (!baton_.try_lock()) {
    // Somebody moves frames, or would if this thread did not keep the CPU.
    sched_yield();
    return 0;
  }
  if (armed_.load(std::memory_order_relaxed) && armed_.exchange(false)) {
    sleeping_.fetch_sub(1);
    find_active(0);
  }
  begin_round();
  std::size_t n = 0;
  for (unsigned looks = 0; looks < most_looks; ++looks) {
    std::size_t got = look(handlers);
    if (got == 0 && looks == 0 && comes_soon()) got = look(handlers);
    end_round(got);
    n += got;
    if (lone_) {
      if (looks != 0) flush_dirty();
      run_lone(*std::exchange(lone_, nullptr));
    }
    const bool ready = handlers && work_ready_.load(std::memory_order_relaxed);
    if (ready) {
      if (looks != 0) flush_dirty();  // what the handlers of the look before asked for
      n += run_ready();
    }
    // A burst comes in pieces: one ack, and one burst of what it made possible, for all of it, unless somebody waits.
    if (got < stream || baton_.wanted() || !submissions_.empty()) break;
  }
  handlers ? leave_polled() : leave();
  return n;
}

// --- waiting

bool partition::wait_for(op_state& o, std::int64_t until) {
  const std::int64_t spin = std::chrono::nanoseconds(host_.settings().spin).count();
  drivers_.fetch_add(1, std::memory_order_relaxed);
  std::int64_t now = now_ns();
  std::int64_t quiet_since = now;
  crowd& others = crowd_of_thread();
  others.slept();
  bool done = false;
  bool alone = true;
  unsigned refused = 0;
  for (unsigned round = 0; !(done = o.is_done()); ++round) {
    bool moved = false;
    if (baton_.try_lock()) {
      moved = one_round() != 0;
      if (!o.is_done())
        flush_dirty();
      else if (!dirty_.empty())
        leave_unsent();
      release();
    } else if (++refused % 64 == 0 || baton_.wanted()) {
      sched_yield();  // its holder, or who waits for it, may want this CPU
    } else {
      cpu_relax();
    }
    if (moved) {
      quiet_since = now = now_ns();
      others.slept();
    } else if (round % 16 == 0) {
      now = now_ns();
      alone = !others.around(now);
    }
    if (now >= until) break;
    if (now - quiet_since > (alone ? spin : 0)) {
      block_on(o, until);
      quiet_since = now = now_ns();
      others.slept();
    }
  }
  drivers_.fetch_sub(1, std::memory_order_relaxed);
  hand_back();
  return done || o.is_done();
}

/// Nothing came for a while: sleep, on the op where engine threads move frames, else on the links.
void partition::block_on(op_state& o, std::int64_t until) {
  const std::uint32_t seen = o.bits.fetch_or(detail::op_waiter, std::memory_order_acq_rel) | detail::op_waiter;
  if (seen & detail::op_done) return;
  drivers_.fetch_sub(1, std::memory_order_relaxed);
  if (threaded_) {
    hand_back();
    futex_wait(o.bits, seen, until);
  } else if (runners_.load() > 0 || sleeping_.load() > 0) {
    // Somebody else moves frames and will say when it is done; look again soon in case he leaves.
    hand_back();
    futex_wait(o.bits, seen, std::min(until, now_ns() + 20'000'000));
  } else {
    sleep(
        until, [](const void* op) noexcept { return static_cast<const op_state*>(op)->is_done(); }, &o);
  }
  drivers_.fetch_add(1, std::memory_order_relaxed);
}

void partition::wait_quiet(op_state& o) {
  partition* const outer = handler_of_thread;
  handler_of_thread = nullptr;  // frames, not handlers: no wait can come back to this handler
  while (!o.is_done()) {
    if (baton_.try_lock()) {
      one_round();
      flush_dirty();
      release();
    }
    if (!o.is_done()) sched_yield();
  }
  hand_back();
  handler_of_thread = outer;
}

}  // namespace kfx::engine
