// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Handlers and engine threads. Handlers run without the baton, one lane's in order. The thread that runs them is
/// the leader; when a handler keeps it longer than a few milliseconds, another thread takes the lead.

#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <string>

#include "engine/crowd.hpp"
#include "engine/handler_frame.hpp"
#include "engine/partition.hpp"
#include "engine/pools.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {
/// Which engine thread this is, for the serial that watch() looks at.
thread_local std::atomic<std::uint64_t>* own_serial = nullptr;

constexpr std::uint64_t one_change = std::uint64_t{1} << 32;  // of partition::handlers_

constexpr unsigned ready_budget = 256;        // handlers between two looks at the wire
constexpr unsigned together = 16;             // handlers whose requests and answers make one burst
constexpr std::int64_t short_handler = 4000;  // ns
// Bursts may take a quarter of the time: over tcp one costs as much as several short handlers.
constexpr std::int64_t bursts_apart = 3;
}  // namespace

void partition::ready_op(op_state& o) {
  o.timer.next = nullptr;
  (done_last_ ? done_last_->next : done_first_) = &o.timer;
  done_last_ = &o.timer;
  work_ready_.store(true, std::memory_order_relaxed);
}

inline op_state* partition::next_done() {
  if (!done_first_) return nullptr;
  op_state* o = detail::from_timer(done_first_);
  done_first_ = done_first_->next;
  if (!done_first_) done_last_ = nullptr;
  o->timer.next = nullptr;
  return o;
}

inline strand* partition::next_strand(op_state*& chain) {
  strand* s = ready_first_;
  if (!s) return nullptr;
  ready_first_ = s->next;
  if (!ready_first_) ready_last_ = nullptr;
  s->ready = false;
  s->running = true;
  chain = s->head;
  s->head = s->tail = nullptr;
  // From here on they are with their handler, and known to their session again.
  for (op_state* m = chain; m;) {
    op_state* next = m->queue_next;
    m->timer.next = next ? &next->timer : nullptr;
    s->owner->hand_over(*m);
    m = next;
  }
  return s;
}

/// Counted before the watch is asked for, so that one that is just ending its watch sees it (host::watch_handlers).
inline void partition::handler_begins() noexcept {
  if (own_serial)  // nobody else writes it
    own_serial->store(own_serial->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  handlers_.store(handlers_.load(std::memory_order_relaxed) + one_change + 1, std::memory_order_relaxed);
  host_.watch_handlers();
}

inline void partition::handler_ends() noexcept {
  handlers_.store(handlers_.load(std::memory_order_relaxed) + one_change - 1, std::memory_order_relaxed);
  if (own_serial) own_serial->store(own_serial->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

namespace {
/// Since `now`, which is brought up to date.
bool took_long(std::int64_t& now) noexcept {
  const std::int64_t begun = std::exchange(now, now_ns());
  return now - begun > short_handler;
}
}  // namespace

/// One completion or one lane's messages; the baton is let go of meanwhile. False: nothing was ready. `now`: when the
/// one before ended; brought up to date, unless this is the only one: that holds nobody up.
inline bool partition::run_one(std::int64_t& now, bool only) {
  // What short handlers asked for does not wait for one of those that block.
  if (done_first_ ? slow_callbacks_ : ready_first_ && ready_first_->slow) flush_dirty();
  op_state* done = next_done();
  op_state* chain = nullptr;
  strand* s = done ? nullptr : next_strand(chain);
  work_ready_.store(done_first_ || ready_first_, std::memory_order_relaxed);
  if (!done && !s) return false;
  handler_begins();
  if (done) {
    release();
    partition* const outer = std::exchange(handler_of_thread, this);
    done->on_done(done, done->on_done_arg);
    handler_of_thread = outer;
    baton_.lock();
    if (!only) slow_callbacks_ = took_long(now);
  } else {
    run_strand(*s, chain, false);
    if (!only) s->slow = took_long(now);
    if (--s->owner->running_strands == 0 && !leaving_.empty()) forget_left();
  }
  handler_ends();
  if (!submissions_.empty()) drain();
  return true;
}

/// Those of handlers that are at something else by now.
void partition::finish_dropped_elsewhere() {
  for (handler_frame* f = frames_; f; f = f->next) finish_dropped(*f);
}

/// For one that said it sleeps. True: a handler let go of a message, whose answer must leave first.
bool partition::dropped_meanwhile() {
  if (!frames_) return false;
  base::heavy_fence();
  finish_dropped_elsewhere();
  return !dirty_.empty();
}

/// The messages of a lane, to their handler. The baton is let go of meanwhile.
inline void partition::run_strand(strand& s, op_state* chain, bool lone) {
  const bool messages = chain != nullptr;
  const kfx::lane lane = messages ? chain->lane : default_lane;
  ++s.owner->running_strands;
  {
    handler_frame frame(*this, lone);
    frame.next = std::exchange(frames_, &frame);
    release();
    partition* const outer = std::exchange(handler_of_thread, this);
    handle(s, chain);
    handler_of_thread = outer;
    baton_.lock();
    handler_frame** at = &frames_;
    while (*at != &frame) at = &(*at)->next;
    *at = frame.next;
    finish_dropped(frame);
  }
  s.running = false;
  if (s.head && !s.ready) ready_strand(s);
  if (messages) s.owner->handler_returned(lane);
}

inline void partition::handle(strand& s, op_state* chain) {
  const auto handlers = host_.current_handlers();
  while (chain) {
    op_state* m = chain;
    chain = m->timer.next ? detail::from_timer(m->timer.next) : nullptr;
    m->timer.next = nullptr;
    if (m->options & opt_notify) {
      if (handlers && handlers->notify) {
        notification n{region_of(m->key), m->offset, m->length, m->imm};
        handlers->notify(n, peer(s.owner->shared_from_this()));
      }
      detail::message_drop(*m);
    } else if (handlers && handlers->message) {
      handlers->message(message(m));
    } else {
      detail::message_reject(*m, make_error_code(errc::dropped));
    }
  }
}

/// A message that came alone: what its handler asks for leaves before anything else is seen to.
void partition::run_lone(op_state& m) {
  session& s = *m.owner;
  strand& of = *s.strand_of(m.lane);
  of.running = true;
  handler_begins();
  run_strand(of, &m, true);
  s.answer_at_once();
  s.take_late_ack();
  if (--s.running_strands == 0 && !leaving_.empty()) forget_left();
  handler_ends();
  if (!submissions_.empty()) drain();
}

std::shared_ptr<detail::region_state> partition::region_of(std::uint64_t key) {
  return with_baton([&]() -> std::shared_ptr<detail::region_state> {
    const memory::keyed* k = keys.find(key);
    return k && k->region ? k->region->shared_from_this() : nullptr;
  });
}

/// What short handlers ask for leaves together; what a longer one asked for does not wait for the next.
std::size_t partition::run_ready() {
  std::size_t n = 0;
  const bool only = !done_first_ ? ready_first_ == ready_last_ : !ready_first_ && done_first_ == done_last_;
  std::int64_t now = only ? 0 : now_ns();
  std::int64_t begun = now;
  while (n < ready_budget && run_one(now, only && n == 0)) {
    ++n;
    if (!work_ready_.load(std::memory_order_relaxed)) return n;  // the caller sends the rest
    if (now == 0) now = begun = now_ns();
    if (n % together != 0 && now - begun < std::max(short_handler, bursts_apart * burst_cost_)) continue;
    flush_dirty();
    begun = now_ns();
    burst_cost_ += (begun - now - burst_cost_) / 8;
    now = begun;
  }
  return n;
}

// --- engine threads

void partition::start_threads() {
  std::lock_guard lock(threads_mutex_);
  threaded_ = true;
  add_thread();
  leader_.store(threads_.back().get());
}

void partition::add_thread() {
  threads_.push_back(std::make_unique<engine_thread>());
  engine_thread& t = *threads_.back();
  t.thread = std::thread([this, &t] {
    const std::string name = "kfx-p" + std::to_string(number_);
    pthread_setname_np(pthread_self(), name.c_str());
    if (place_.pinned) numa::pin_thread(place_.cpus);
    own_serial = &t.serial;
    while (!stopping_.load()) {
      if (leader_.load() == &t)
        leader_loop(t);
      else
        standby(t);
    }
  });
}

std::size_t partition::threads() {
  std::lock_guard lock(threads_mutex_);
  return threads_.size();
}

void partition::standby(engine_thread& t) {
  std::unique_lock lock(threads_mutex_);
  standby_wake_.wait(lock, [&] { return stopping_.load() || leader_.load() == &t; });
}

/// Moves frames and runs handlers while there are any; spins while that has paid lately; then sleeps.
void partition::leader_loop(engine_thread& t) {
  const std::int64_t most = std::chrono::nanoseconds(host_.settings().spin).count();
  std::int64_t budget = most;
  std::int64_t busy_at = now_ns();
  crowd& others = crowd_of_thread();
  while (!stopping_.load(std::memory_order_relaxed) && leader_.load(std::memory_order_relaxed) == &t) {
    if (drivers_.load(std::memory_order_relaxed) > 0 && !work_ready_.load(std::memory_order_relaxed)) {
      nap();
      others.slept();
      continue;
    }
    if (poll(true) != 0 || work_ready_.load(std::memory_order_relaxed)) {
      busy_at = now_ns();
      others.slept();
      continue;
    }
    const std::int64_t now = now_ns();
    if (!others.around(now) && now - busy_at < budget) {
      cpu_relax();
      continue;
    }
    sleep(INT64_MAX);
    others.slept();
    // A short sleep would have been cheaper as a spin, a long one shows that spinning does not pay.
    busy_at = now_ns();
    budget = busy_at - now < 4 * most ? most : budget / 2;
  }
}

/// Waiting threads move the frames themselves; stay out of their way, but come back soon.
void partition::nap() {
  napping_.store(true);
  if (!work_ready_.load() && !stopping_.load()) {
    pollfd p{doorbell_, POLLIN, 0};
    const timespec brief{0, 100'000};
    ppoll(&p, 1, &brief, nullptr);
  }
  napping_.store(false);
}

bool partition::watch() {
  if (!threaded_) {
    if (in_handlers() == 0 && !left_unsent_.load(std::memory_order_relaxed)) return false;
    const std::uint64_t serial = handlers_.load() / one_change;
    if (serial == watched_serial_) nudge();
    watched_serial_ = serial;
    return true;
  }
  std::lock_guard lock(threads_mutex_);
  engine_thread* leader = leader_.load();
  if (stopping_.load() || !leader) return false;
  const std::uint64_t serial = leader->serial.load();
  const bool same = serial == watched_serial_;
  watched_serial_ = serial;
  if (!(serial & 1)) return in_handlers() != 0 && !same;
  if (!same) return true;
  // It has been in one handler for a whole tick: somebody else leads from now on.
  engine_thread* next = nullptr;
  for (auto& t : threads_)
    if (t.get() != leader && !(t->serial.load() & 1)) next = t.get();
  if (!next && threads_.size() < 1024) {
    add_thread();
    next = threads_.back().get();
  }
  if (next) {
    leader_.store(next);
    standby_wake_.notify_all();
  }
  return true;
}

void partition::nudge() { poll(false); }

void partition::stop_threads() {
  stopping_.store(true);
  wake();
  std::vector<std::unique_ptr<engine_thread>> threads;
  {
    std::lock_guard lock(threads_mutex_);
    standby_wake_.notify_all();
    threads.swap(threads_);
  }
  for (auto& t : threads)
    if (t->thread.joinable()) t->thread.join();
  leader_.store(nullptr);
}

}  // namespace kfx::engine
