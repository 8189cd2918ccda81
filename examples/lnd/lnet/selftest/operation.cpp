// SPDX-License-Identifier: BSD-2-Clause
#include "operation.hpp"

#include <utility>

#include "messages.hpp"

namespace lnet::selftest {

operation::operation(endpoint& e) : endpoint_(e) { e.watch(*this); }

operation::~operation() { endpoint_.forget(*this); }

void operation::on_event(const event& ev) {
  auto& w = *static_cast<window*>(ev.user);
  w.owner->happened(w, ev);
}

void operation::happened(window& w, const event& ev) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (ev.status != 0) {
      if (w.status == 0) w.status = ev.status;
      trouble_ = true;
    } else if (ev.type != event_type::unlink) {
      // Of a GET the reply counts, which may come before the word that it was sent.
      if (ev.type != event_type::send || !w.done) w.moved = ev.mlength;
      w.done = w.done || ev.type != event_type::send || ev.unlinked;
    }
    if (ev.unlinked && w.linked) {
      w.linked = false;
      --linked_;
    }
    if (linked_ != 0 && !trouble_ && !(ev.unlinked && w.eager)) return;
    if (!activate()) return;
  }
  endpoint_.tasks().soon(*this);
}

/// Under the lock. False: it runs, and will once more.
bool operation::activate() noexcept {
  again_ = active_;
  return !std::exchange(active_, true);
}

void operation::wake() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!activate()) return;
  }
  endpoint_.tasks().elsewhere(*this);
}

void operation::wake_here() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!activate()) return;
  }
  endpoint_.tasks().soon(*this);
}

void operation::tick(clock::time_point now) noexcept {
  if (deadline_.load(std::memory_order_relaxed) > now) return;
  {
    const std::lock_guard lock(mutex_);
    if (deadline_.load(std::memory_order_relaxed) > now) return;
    deadline_.store(clock::time_point::max(), std::memory_order_relaxed);
    late_ = trouble_ = true;
    if (!activate()) return;
  }
  endpoint_.tasks().elsewhere(*this);
}

void operation::run() noexcept {
  for (;;) {
    proceed();
    const std::lock_guard lock(mutex_);
    if (!again_) {
      active_ = false;
      return;
    }
    again_ = false;
  }
}

bool operation::idle() noexcept {
  const std::lock_guard lock(mutex_);
  return !active_ && linked_ == 0;
}

void operation::arm(clock::time_point deadline) noexcept {
  const std::lock_guard lock(mutex_);
  trouble_ = late_ = false;
  deadline_.store(deadline, std::memory_order_relaxed);
}

void operation::settle() noexcept {
  const std::lock_guard lock(mutex_);
  trouble_ = late_ = again_ = false;
  deadline_.store(clock::time_point::max(), std::memory_order_relaxed);
}

void operation::link(window& w, bool eager) noexcept {
  const std::lock_guard lock(mutex_);
  w = window{.owner = this, .linked = true, .eager = eager};
  ++linked_;
}

void operation::unlink(window& w) noexcept {
  const std::lock_guard lock(mutex_);
  w.linked = false;
  --linked_;
}

memory_descriptor operation::descriptor(window& w, fragment memory, unsigned options, int threshold) const {
  memory_descriptor d;
  d.memory = {memory};
  d.threshold = threshold;
  d.options = options;
  d.user = &w;
  d.events = endpoint_.events();
  return d;
}

int operation::expose(window& w, std::uint64_t bits, fragment memory, unsigned options) noexcept {
  host& lnet = endpoint_.lnet();
  me_handle me;
  if (const int status = lnet.me_attach(answer_portal, {}, bits, 0, unlink_op::unlink, insert_position::after, me)) {
    return status;
  }
  link(w, true);
  const int status = lnet.md_attach(me, descriptor(w, memory, options, 1), unlink_op::unlink, w.md);
  if (status != 0) {
    unlink(w);
    lnet.me_unlink(me);
  }
  return status;
}

int operation::send(window& w, fragment memory, const process_id& to, unsigned portal, std::uint64_t bits) noexcept {
  host& lnet = endpoint_.lnet();
  link(w, false);
  int status = lnet.md_bind(descriptor(w, memory, 0, 1), unlink_op::unlink, w.md);
  if (status != 0) {
    unlink(w);
    return status;
  }
  status = lnet.put(nid::any(), w.md, ack_request::no_ack, to, portal, bits, 0, 0);
  if (status != 0) lnet.md_unlink(w.md);  // and the event of that says so
  return status;
}

int operation::fetch(window& w, fragment memory, const process_id& from, unsigned portal, std::uint64_t bits) noexcept {
  host& lnet = endpoint_.lnet();
  link(w, false);
  // The word that it went, and what comes.
  int status = lnet.md_bind(descriptor(w, memory, 0, 2), unlink_op::unlink, w.md);
  if (status != 0) {
    unlink(w);
    return status;
  }
  status = lnet.get(nid::any(), w.md, from, portal, bits, 0);
  if (status != 0) lnet.md_unlink(w.md);
  return status;
}

void operation::withdraw(window& w) noexcept {
  bool linked = false;
  {
    const std::lock_guard lock(mutex_);
    linked = w.linked;
  }
  if (linked) endpoint_.lnet().md_unlink(w.md);
}

bool operation::quiet() noexcept {
  const std::lock_guard lock(mutex_);
  return linked_ == 0;
}

bool operation::troubled() noexcept {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

bool operation::late() noexcept {
  const std::lock_guard lock(mutex_);
  return late_;
}

bool operation::through(const window& w) noexcept {
  const std::lock_guard lock(mutex_);
  return w.done && !w.linked;
}

}  // namespace lnet::selftest
