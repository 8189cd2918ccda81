// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Which links are looked at, and sleeping until one of them, the doorbell or a deadline wants attention.

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "engine/partition.hpp"

namespace kfx::engine {

// --- readiness of links

bool partition::watch_link(session& s) {
  backend::link* l = s.link();
  if (!l) return true;
  const backend::wait_handle h = l->arm();
  if (h.fd < 0) return false;
  if (s.watched_fd == h.fd && s.watched_writable == h.writable) return true;
  epoll_event ev{};
  ev.events = (h.readable ? EPOLLIN : 0u) | (h.writable ? EPOLLOUT : 0u);
  ev.data.u64 = s.slot;
  if (s.watched_fd == h.fd) {
    epoll_ctl(epoll_, EPOLL_CTL_MOD, h.fd, &ev);
  } else {
    unwatch_link(s);
    epoll_ctl(epoll_, EPOLL_CTL_ADD, h.fd, &ev);
    ++watched_;
  }
  s.watched_fd = h.fd;
  s.watched_writable = h.writable;
  s.busy_polls = 0;
  return true;
}

void partition::unwatch_link(session& s) {
  if (s.watched_fd < 0) return;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, s.watched_fd, nullptr);
  --watched_;
  s.watched_fd = -1;
  s.watched_writable = false;
}

/// Links whose descriptor is ready join the hot ones. Baton held.
void partition::find_active(int timeout_ms) {
  epoll_event events[64];
  const int n = epoll_wait(epoll_, events, 64, timeout_ms);
  for (int i = 0; i < n; ++i) became_ready(events[i].data.u64);
}

void partition::became_ready(std::uint64_t tag) {
  if (tag == doorbell_tag) {
    if (sleeping_.load() > 0) return;  // it rang for who sleeps
    std::uint64_t count;
    [[maybe_unused]] const auto got = read(doorbell_, &count, sizeof count);
    return;
  }
  if (tag < slots_.size() && slots_[tag]) {
    make_hot(*slots_[tag]);
    slots_[tag]->cold_polls = 0;
  }
}

void partition::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto put = write(doorbell_, &one, sizeof one);
}

/// Sleeps until a link, the doorbell or a deadline wants attention. Links are armed and looked at once more first.
void partition::sleep(std::int64_t until, wake_reason reason, const void* what) {
  if (!prepare_sleep(until, reason, what)) return;
  const std::int64_t now = now_ns();
  const std::int64_t ms = until == INT64_MAX ? -1 : std::max<std::int64_t>(0, (until - now + 999'999) / 1'000'000);
  epoll_event events[64];
  const int n = epoll_wait(epoll_, events, 64, static_cast<int>(std::min<std::int64_t>(ms, INT_MAX)));
  sleeping_.fetch_sub(1);
  if (n <= 0) return;
  baton_.lock();
  for (int i = 0; i < n; ++i) became_ready(events[i].data.u64);
  release();
}

/// False: there is something to do. `until` becomes the earlier of itself and the next deadline.
bool partition::prepare_sleep(std::int64_t& until, wake_reason reason, const void* what) {
  if (!baton_.try_lock()) return false;
  if (sleeping_.load() > 0) {  // one sleeps for all; whoever comes to stay takes its place
    release();
    wake();
    sched_yield();
    return false;
  }
  drain();
  flush_dirty();
  if (!work_ready_.load(std::memory_order_relaxed)) cool_all();
  // What rang the doorbell is asked for once more: a poll may have taken that ring for an earlier one. From here on
  // nobody takes a ring but the sleeper.
  const bool called = stopping_.load() || (reason && reason(what));
  bool idle = !called && !work_ready_.load(std::memory_order_relaxed) && dirty_.empty() && hot_.empty();
  if (idle) {
    sleeping_.fetch_add(1);
    idle = !dropped_meanwhile();
    if (!idle) sleeping_.fetch_sub(1);
  }
  if (idle) {
    const std::int64_t next = wheel_.next();
    if (next < until) until = next;
    planned_wake_.store(until, std::memory_order_relaxed);
  }
  release();
  return idle;
}

/// For programs that sleep on epoll_fd() themselves; the next poll() ends it.
bool partition::arm() {
  std::int64_t until = INT64_MAX;
  exposed_ = true;
  if (!prepare_sleep(until)) return false;
  if (armed_.exchange(true)) sleeping_.fetch_sub(1);  // one sleeper is enough
  return true;
}

}  // namespace kfx::engine
