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

#include "engine/futex.hpp"
#include "engine/pools.hpp"

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

partition*& handler_of_thread() noexcept {
  thread_local partition* p = nullptr;
  return p;
}

partition::partition(host& h, unsigned number, std::vector<int> cpus)
    : host_(h), number_(number), cpus_(std::move(cpus)), wheel_(now_ns()) {
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
  failed_recently_.resize(4096);
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

op_state* partition::make_op(verb kind, bool user) {
  if (user) {
    const auto limit = host_.settings().max_ops;
    while (outstanding_.load(std::memory_order_relaxed) >= limit && !handler_of_thread()) {
      if (poll(false) == 0) sched_yield();
    }
    outstanding_.fetch_add(1, std::memory_order_relaxed);
  }
  op_state* o = allocate_op();
  if (!o) {
    if (user) op_gone();
    return nullptr;
  }
  o->home = this;
  o->kind = kind;
  if (user) o->options = opt_user | opt_counted;
  return o;
}

std::uint32_t partition::publish(op_state& o, std::uint32_t also) {
  if (o.options & opt_counted) {
    o.options &= ~opt_counted;
    op_gone();
  }
  const std::uint32_t old = o.bits.fetch_or(detail::op_done | also, std::memory_order_acq_rel);
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
  return old;
}

namespace {
constexpr std::uint32_t pooled = opt_header_pooled | opt_list_pooled | opt_reply_pooled;

void release_resources(op_state& o) noexcept {
  if (!(o.options & pooled)) return;
  if (o.options & opt_header_pooled) {
    // Messages and what became of them note the size of their block in `offset`.
    const bool was_message = o.kind == verb::message || o.kind == verb::reply || o.kind == verb::result;
    pool_free(const_cast<std::byte*>(o.header), was_message ? o.offset : o.header_size);
  }
  if (o.options & opt_list_pooled) pool_free(const_cast<const_buffer*>(o.list), o.fragments * sizeof(const_buffer));
  if (o.options & opt_reply_pooled)
    pool_free(const_cast<const_buffer*>(o.reply_list), o.reply_fragments * sizeof(const_buffer));
  o.options &= ~pooled;
}
}  // namespace

void partition::publish_and_free(op_state& o) {
  release_resources(o);
  const op_id id = o.id;
  // From here on it is its handle's. A handler counts as one: it lets go when it has run.
  const std::uint32_t old = publish(o, detail::op_engine_gone);
  if (!(old & (detail::op_handler | detail::op_queued)) && (old & detail::op_user_gone)) free_op(o);
  after_done(id, true);
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

void partition::submit(op_state& o, std::uint32_t wish) {
  if (!(o.bits.fetch_or(wish | detail::op_queued, std::memory_order_acq_rel) & detail::op_queued)) take_in(o);
}

void partition::submit_fresh(op_state& o) {
  o.bits.store(o.bits.load(std::memory_order_relaxed) | detail::op_fresh | detail::op_queued,
               std::memory_order_relaxed);
  take_in(o);
}

void partition::take_in(op_state& o) {
  if (handler_of_thread() == this) {  // taken up when the handler returns, together with what else it asks for
    submissions_.push(&o);
    return;
  }
  if (!baton_.try_lock()) {
    submissions_.push(&o);
    if (!baton_.try_lock()) return;  // its holder looks after letting go
    drain();
  } else {
    drain();
    session* s = o.owner;
    const bool busy = s && s->busy();
    dispatch(o);
    // With ops under way and somebody polling, the next round sends this with what else has come by then.
    const bool polled = sleeping_.load(std::memory_order_relaxed) == 0 && in_handlers() == 0;
    if (busy && polled && ++deferred_ < 32) return release();
  }
  deferred_ = 0;
  leave();
}

void partition::release(bool restless) {
  for (;;) {
    const bool asleep = sleeping_.load(std::memory_order_relaxed) > 0;
    const bool must_wake = (work_ready_.load(std::memory_order_relaxed) && (asleep || napping_.load())) ||
                           (asleep && (!dirty_.empty() || restless));
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
  constexpr std::uint32_t wishes = detail::op_fresh | detail::op_cancel | detail::op_command;
  constexpr std::uint32_t gone = detail::op_user_gone | detail::op_engine_gone;
  std::uint32_t bits = o.bits.load(std::memory_order_acquire);
  if ((bits & (wishes | detail::op_engine_gone)) == detail::op_fresh) {
    // The usual case. Nobody but this thread gives up the engine's part of it, so it may leave the queue at once.
    if (o.bits.compare_exchange_strong(bits, bits & ~(detail::op_fresh | detail::op_queued))) return o.owner->start(o);
  }
  do {
    bits = o.bits.fetch_and(~wishes, std::memory_order_acq_rel);
    if (bits & detail::op_fresh) o.owner->start(o);
    if ((bits & detail::op_cancel) && !o.is_done())
      o.owner->cancel(o, make_error_code(o.kind == verb::offer ? errc::revoked : errc::cancelled));
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
