// SPDX-License-Identifier: BSD-2-Clause
// The life of match entries and memory descriptors.
#include "objects.hpp"

#include <cerrno>
#include <utility>

namespace lnet {

bool objects::valid(const memory_descriptor& d) {
  if (d.memory.size() > max_fragments || d.threshold == 0 || d.threshold < threshold_infinite) return false;
  return !(d.options & md_max_size) || (d.max_size != 0 && d.max_size <= length_of(d.memory));
}

md* objects::make(const memory_descriptor& what, unlink_op op) {
  auto* d = new md;
  d->what = what;
  d->length = length_of(what.memory);
  d->goes_when_spent = op == unlink_op::unlink;
  return d;
}

int objects::attach_me(unsigned portal, process_id match, std::uint64_t bits, std::uint64_t ignore, unlink_op op,
                       insert_position where, me_handle& out) {
  if (portal >= portal_count) return -EINVAL;
  std::lock_guard lock(mutex_);
  auto& entries = portals_[portal].entries;
  const auto at = entries.emplace(where == insert_position::before ? entries.begin() : entries.end());
  *at = {0, portal, match, bits, ignore, op, nullptr, at};
  out.cookie = at->cookie = mes_.add(*at);
  return 0;
}

void objects::remove_me(me& e) {
  mes_.remove(e.cookie);
  portals_[e.portal].entries.erase(e.self);
}

int objects::unlink_me(me_handle handle, notice& n) {
  std::lock_guard lock(mutex_);
  me* const e = mes_.find(handle.cookie);
  if (!e) return -ENOENT;
  md* const d = e->memory;
  if (d) d->entry = nullptr;
  remove_me(*e);
  if (d) n = unlink_now(*d);
  return 0;
}

int objects::attach_md(me_handle handle, const memory_descriptor& what, unlink_op op, md_handle& out, msg_queue& taken,
                       msg_queue& refused) {
  if (!valid(what) || !(what.options & (md_op_put | md_op_get))) return -EINVAL;
  std::lock_guard lock(mutex_);
  me* const e = mes_.find(handle.cookie);
  if (!e) return -ENOENT;
  if (e->memory) return -EBUSY;
  md* const d = make(what, op);
  living_.enter();
  out.cookie = d->cookie = mds_.add(*d);
  d->entry = e;
  e->memory = d;
  msg_queue settled;
  portals_[e->portal].delayed.move_if(
      [&](msg& m) {
        if (d->gone || !d->entry) return false;
        const found f = try_md(*d, m);
        if (f == found::nothing) return false;
        // Which queue is decided below: the message says so.
        m.status = f == found::taken ? 0 : -EMSGSIZE;
        return true;
      },
      settled);
  while (msg* m = settled.pop()) (m->status == 0 ? taken : refused).push(*m);
  return 0;
}

int objects::bind(const memory_descriptor& what, unlink_op op, md_handle& out) {
  if (!valid(what)) return -EINVAL;
  md* const d = make(what, op);
  std::lock_guard lock(mutex_);
  living_.enter();
  out.cookie = d->cookie = mds_.add(*d);
  return 0;
}

int objects::unlink_md(md_handle handle, notice& n) {
  std::lock_guard lock(mutex_);
  md* const d = mds_.find(handle.cookie);
  if (!d) return -ENOENT;
  n = unlink_now(*d);
  return 0;
}

/// Takes its name away: nothing new finds it.
void objects::forget(md& d) {
  if (d.gone) return;
  d.gone = true;
  mds_.remove(d.cookie);
  for (auto a = expected_.begin(); d.awaited != 0 && a != expected_.end();) {
    answer& each = *a++;
    if (each.of == &d) drop_answer(each);
  }
  if (me* const e = std::exchange(d.entry, nullptr)) {
    e->memory = nullptr;
    if (e->op == unlink_op::unlink) remove_me(*e);
  }
}

notice objects::unlink_now(md& d) {
  forget(d);
  if (d.references != 0) return {};
  event e;
  e.type = event_type::unlink;
  e.unlinked = true;
  return note(d, std::move(e));
}

void objects::hold(md& d, msg& m) {
  m.memory = &d;
  ++d.references;
  if (d.what.threshold > 0) --d.what.threshold;
}

notice objects::finish(msg& m) {
  std::lock_guard lock(mutex_);
  md& d = *std::exchange(m.memory, nullptr);
  --d.references;
  event e = m.what;
  e.status = m.status;
  // What failed to leave is not answered: the answer's share of the threshold goes with it.
  if (e.type == event_type::send && m.status != 0)
    if (answer* const a = answers_.find(m.hdr.wmd.object_cookie); a && a->of == &d) {
      drop_answer(*a);
      if (d.what.threshold > 0) --d.what.threshold;
    }
  return note_and_maybe_unlink(d, std::move(e));
}

notice objects::cancel(msg& m) {
  std::lock_guard lock(mutex_);
  md& d = *std::exchange(m.memory, nullptr);
  --d.references;
  if (d.what.threshold >= 0) ++d.what.threshold;
  if (answer* const a = answers_.find(m.hdr.wmd.object_cookie); a && a->of == &d) drop_answer(*a);
  // Somebody unlinked it meanwhile and waits for the event.
  return d.gone && d.references == 0 ? unlink_now(d) : notice{};
}

notice objects::note_and_maybe_unlink(md& d, event&& e) {
  if (d.references == 0 && (d.gone || (d.goes_when_spent && d.spent()))) {
    forget(d);
    e.unlinked = true;
  }
  return note(d, std::move(e));
}

notice objects::note(md& d, event&& e) {
  e.md.cookie = d.cookie;
  e.user = d.what.user;
  if (d.undelivered.fetch_add(1, std::memory_order_acq_rel) == 0) return {&d, e};
  d.waiting.push_back(e);
  return {};
}

void objects::deliver(notice&& n) {
  while (n.of) {
    md& d = *n.of;
    if (d.what.events) d.what.events->push(n.what);
    if (n.what.unlinked) {
      delete &d;
      living_.leave();
      return;
    }
    if (d.undelivered.fetch_sub(1, std::memory_order_acq_rel) == 1) return;
    std::lock_guard lock(mutex_);
    n.what = d.waiting.front();
    d.waiting.erase(d.waiting.begin());
  }
}

void objects::deliver_all(std::vector<notice> list) {
  for (notice& n : list) deliver(std::move(n));
}

std::vector<notice> objects::unlink_all() {
  std::vector<notice> notices;
  std::lock_guard lock(mutex_);
  for (md* const d : mds_.all()) notices.push_back(unlink_now(*d));
  return notices;
}

void objects::wait_for_all() {
  living_.close();
  living_.wait();
}

}  // namespace lnet
