// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The progress engine: ops and how they are submitted. A round of frames is in partition_round.cpp.

#include "engine/partition.hpp"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <coroutine>
#include <set>

#include "engine/elsewhere.hpp"
#include "engine/futex.hpp"
#include "engine/pools.hpp"
#include "engine/publish.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {

std::mutex& alive_mutex() {
  static auto* m = new std::mutex;
  return *m;
}
std::set<const partition*>& alive_set() {
  static auto* s = new std::set<const partition*>;
  return *s;
}
}  // namespace

std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now().time_since_epoch()).count();
}

partition::partition(host& h, unsigned number, numa::place where)
    : host_(h), number_(number), place_(std::move(where)), max_ops_(h.settings().max_ops), wheel_(now_ns()) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  doorbell_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || doorbell_ < 0) {
    const std::error_code e(errno, std::generic_category());
    throw error(make_error_code(errc::out_of_resources),
                "cannot make a progress engine: " + e.message() + "; raise the limit on open files (ulimit -n)");
  }
  epoll_event ev{};
  ev.events = EPOLLIN;
  ev.data.u64 = doorbell_tag;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, doorbell_, &ev);
  std::lock_guard lock(alive_mutex());
  alive_set().insert(this);
}

partition::~partition() {
  stop_threads();
  {
    std::lock_guard lock(alive_mutex());
    alive_set().erase(this);
  }
  close(epoll_);
  close(doorbell_);
}

void partition::retire_from_lookup() {
  std::lock_guard lock(alive_mutex());
  alive_set().erase(this);
}

bool partition::with_living(partition* p, const std::function<void(partition&)>& f) {
  std::lock_guard lock(alive_mutex());
  if (!alive_set().contains(p)) return false;
  f(*p);
  return true;
}

bool partition::post_handler(partition* home, op_state& o) {
  return with_living(home, [&o](partition& p) {
    o.bits.fetch_or(detail::op_command);
    p.submit(o);
  });
}

void partition::resume_on(op_state& o, void* coroutine) {
  o.on_done = [](op_state*, void* c) { std::coroutine_handle<>::from_address(c).resume(); };
  o.on_done_arg = coroutine;
  o.home->ready_op(o);
}

// --- ops

/// A place among `max_ops`. Waits for it, driving progress; not in handlers, which are never held up.
void partition::take_room() {
  for (;;) {
    waiting_.fetch_add(1);
    if (under_way() <= max_ops_ || handler_of_thread) return;
    waiting_.fetch_sub(1);
    if (poll(false) == 0) sched_yield();
  }
}

void partition::tell(op_state& o, std::uint32_t old) {
  if (old & detail::op_handler) {
    if (old & detail::op_inline)
      o.on_done(&o, o.on_done_arg);
    else
      ready_op(o);
  }
  if (old & detail::op_waiter) {
    futex_wake(o.bits);
    if (!threaded_) wake();
  }
}

void release_pooled(op_state& o) noexcept {
  if (o.options & opt_header_pooled) {
    // Messages and what became of them note the size of their block in `offset`.
    const bool was_message = o.kind == verb::message || o.kind == verb::reply || o.kind == verb::result;
    pool_free(const_cast<std::byte*>(o.header), was_message ? o.offset : o.header_size);
  }
  if (o.options & opt_list_pooled) pool_free(const_cast<const_buffer*>(o.list), o.fragments * sizeof(const_buffer));
  if (o.options & opt_reply_pooled)
    pool_free(const_cast<const_buffer*>(o.reply_list), o.reply_fragments * sizeof(const_buffer));
  o.options &= ~opt_pooled;
}

// A message needs no reply buffers of its own: the pointer serves for what keeps its session.
void keep_session(op_state& m, std::shared_ptr<session> s) {
  m.reply_list = reinterpret_cast<const const_buffer*>(new std::shared_ptr<session>(std::move(s)));
}

void drop_kept_session(op_state& m) noexcept {
  delete reinterpret_cast<const std::shared_ptr<session>*>(std::exchange(m.reply_list, nullptr));
}

void free_orphan(op_state& m) noexcept {
  drop_kept_session(m);
  release_resources(m);
  free_op(m);
}

void partition::free_engine_part(op_state& o) {
  const bool user = o.options & opt_user;
  release_resources(o);
  if (!user) return free_op(o);
  const std::uint32_t others = o.bits.fetch_or(detail::op_engine_gone, std::memory_order_acq_rel);
  if ((others & detail::op_user_gone) && !(others & detail::op_queued)) free_op(o);
}

// --- submissions

/// Where somebody else has the baton: he looks after letting go.
void partition::push(op_state& o) {
  submissions_.push(&o);
  if (!baton_.try_lock()) return;
  drain();
  submitted(false);
}

void partition::submit(op_state& o, std::uint32_t wish) {
  if (!(o.bits.fetch_or(wish | detail::op_queued, std::memory_order_acq_rel) & detail::op_queued)) push(o);
}

void partition::submit_fresh(op_state& o) {
  if (!baton_.try_lock()) {
    o.bits.store(o.bits.load(std::memory_order_relaxed) | detail::op_fresh | detail::op_queued,
                 std::memory_order_relaxed);
    if ((o.options & (opt_user | opt_waiting)) == opt_user) {
      o.options |= opt_waiting;
      waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    return push(o);
  }
  drain();
  const bool busy = o.owner->busy();
  start(o);
  submitted(busy);
}

void partition::submit_message(op_state& m) {
  if (!baton_.try_lock()) return submit(m, detail::op_command);
  drain();
  m.owner->finish_message(m);
  submitted(false);
}

/// Lets go of the baton for who asked for something. `busy`: there were ops under way.
void partition::submitted(bool busy) {
  // In a handler: it goes out when that returns, together with what else it asks for; or before, if somebody polls.
  if (handler_of_thread == this && sleeping_.load(std::memory_order_relaxed) == 0) {
    for (;;) {
      baton_.unlock();
      if (submissions_.empty() || !baton_.try_lock()) return;
      drain();
    }
  }
  // With ops under way and somebody polling, the next round sends this with what else has come by then.
  const bool polled = sleeping_.load(std::memory_order_relaxed) == 0 && in_handlers() == 0;
  if (busy && polled && ++deferred_ < 32) return release();
  deferred_ = 0;
  leave();
}

void partition::start(op_state& o) {
  if (o.options & opt_user) {
    o.options |= opt_counted;
    add(outstanding_, std::uint32_t{1});
    if (o.options & opt_waiting) {
      o.options &= ~opt_waiting;
      waiting_.fetch_sub(1, std::memory_order_release);
    }
  }
  o.owner->start(o);
}

void partition::release_and_wake(bool restless) {
  for (;;) {
    const bool asleep = sleeping_.load(std::memory_order_relaxed) > 0;
    const bool must_wake = (asleep && (restless || !dirty_.empty() || work_ready_.load(std::memory_order_relaxed))) ||
                           (napping_.load(std::memory_order_relaxed) && work_ready_.load(std::memory_order_relaxed));
    baton_.unlock();
    if (must_wake) wake();
    if (submissions_.empty() || !baton_.try_lock()) return;
    drain();
    restless = settle_down();
  }
}

void partition::drain() {
  while (op_state* o = submissions_.take_all()) {
    while (o) {
      op_state* next = submissions_.next(o);
      dispatch(*o);
      o = next;
    }
  }
}

/// What a submitted op_state wants: to start, to end early, or a message's answer.
void partition::dispatch(op_state& o) {
  if (o.kind == verb::message) {
    const bool replied = o.moved == message_replied;  // then it lives on as an op with a user's handle
    o.bits.fetch_and(~(detail::op_command | (replied ? 0u : detail::op_queued)), std::memory_order_acq_rel);
    o.owner->finish_message(o);
    if (!replied) return;
  }
  // Until `op_queued` is taken away its memory stays, even if it ends and is let go of meanwhile.
  constexpr std::uint32_t wishes = detail::op_fresh | detail::op_cancel | detail::op_command | detail::op_told;
  constexpr std::uint32_t gone = detail::op_user_gone | detail::op_engine_gone;
  std::uint32_t bits = o.bits.load(std::memory_order_acquire);
  if ((bits & (wishes | detail::op_engine_gone)) == detail::op_fresh) {
    // The usual case. Nobody but this thread gives up the engine's part of it, so it may leave the queue at once.
    if (o.bits.compare_exchange_strong(bits, bits & ~(detail::op_fresh | detail::op_queued))) return start(o);
  }
  do {
    bits = o.bits.fetch_and(~wishes, std::memory_order_acq_rel);
    if (bits & detail::op_fresh) start(o);
    if ((bits & detail::op_cancel) && !o.is_done())
      o.owner->cancel(o, make_error_code(o.kind == verb::offer ? errc::revoked : errc::cancelled));
    if ((bits & detail::op_told) && !o.is_done())
      if (const int verdict = elsewhere::told(o)) go_on_after(o, verdict > 0);
    if ((bits & detail::op_command) && o.is_done()) ready_op(o);
    bits = o.bits.load(std::memory_order_acquire);
    while (!(bits & wishes) && !o.bits.compare_exchange_weak(bits, bits & ~detail::op_queued)) {
    }
  } while (bits & wishes);
  if ((bits & gone) == gone) free_op(o);
}

// --- deadlines

void partition::set_timer(op_state& o, std::int64_t expiry) {
  o.timer.expiry = expiry;
  wheel_.add(o.timer);
  if (sleeping_.load(std::memory_order_relaxed) > 0 && expiry < planned_wake_.load(std::memory_order_relaxed)) wake();
}

void partition::clear_timer(op_state& o) { wheel_.remove(o.timer); }

}  // namespace kfx::engine
