// SPDX-License-Identifier: BSD-2-Clause
// PUTs and GETs of this host, and the answers that are awaited. What names an answer on the wire is the operation's
// own: one that comes late, or twice, cannot be taken for that of another operation on the same memory.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "objects.hpp"

namespace lnet {

int objects::begin(md_handle handle, msg& m, bool expects_answer, std::uint64_t interface_cookie) {
  std::lock_guard lock(mutex_);
  md* const d = mds_.find(handle.cookie);
  if (!d || d->entry || d->what.threshold == 0) return -ENOENT;
  if (d->length > mtu) return -EMSGSIZE;
  m.what.rlength = m.what.mlength = d->length;
  hold(*d, m);
  if (expects_answer) {
    m.hdr.wmd.interface_cookie = interface_cookie;
    expect(*d, m);
  }
  return 0;
}

void objects::expect(md& d, msg& m) {
  if (spare_.empty()) spare_.emplace_back();
  const auto a = spare_.begin();
  a->of = &d;
  a->type = m.hdr.type == msg_type::put ? msg_type::ack : msg_type::reply;
  a->deadline = m.give_up;
  a->what = m.what;
  a->what.type = m.hdr.type == msg_type::put ? event_type::ack : event_type::reply;
  a->self = a;
  a->cookie = m.hdr.wmd.object_cookie = answers_.add(*a);
  ++d.awaited;
  auto before = expected_.end();
  while (before != expected_.begin() && std::prev(before)->deadline > a->deadline) --before;
  expected_.splice(before, spare_, a);
}

void objects::drop_answer(answer& a) {
  answers_.remove(a.cookie);
  --a.of->awaited;
  spare_.splice(spare_.begin(), expected_, a.self);
}

objects::answer* objects::awaited(std::uint64_t cookie, msg_type type) const {
  answer* const a = answers_.find(cookie);
  return a && a->type == type && a->of->what.threshold != 0 ? a : nullptr;
}

bool objects::still_wanted(const msg& m) {
  std::lock_guard lock(mutex_);
  if (!m.memory || m.what.type != event_type::send) return true;
  return !m.memory->gone && (m.hdr.wmd.none() || answers_.find(m.hdr.wmd.object_cookie) != nullptr);
}

bool objects::take_ack(std::uint64_t cookie, process_id from, nid source, std::size_t length, notice& n) {
  std::lock_guard lock(mutex_);
  answer* const a = awaited(cookie, msg_type::ack);
  if (!a) return false;
  event e = a->what;
  e.initiator = from;
  e.source = source;
  e.mlength = length;
  md& d = *a->of;
  drop_answer(*a);
  if (d.what.threshold > 0) --d.what.threshold;
  n = note_and_maybe_unlink(d, std::move(e));
  return true;
}

bool objects::take_reply(std::uint64_t cookie, msg& m, std::size_t length) {
  std::lock_guard lock(mutex_);
  answer* const a = awaited(cookie, msg_type::reply);
  if (!a) return false;
  md& d = *a->of;
  if (length > d.length && !(d.what.options & md_truncate)) return false;
  const event arrived = m.what;
  m.what = a->what;
  m.what.initiator = arrived.initiator;
  m.what.source = arrived.source;
  m.what.rlength = length;
  m.what.mlength = std::min(length, d.length);
  drop_answer(*a);
  hold(d, m);
  return true;
}

bool objects::take_reply_of(const msg& get, msg& reply) {
  std::lock_guard lock(mutex_);
  answer* const a = awaited(get.hdr.wmd.object_cookie, msg_type::reply);
  if (!a || a->of != get.memory) return false;
  reply.what = a->what;
  md& d = *a->of;
  drop_answer(*a);
  hold(d, reply);
  return true;
}

bool objects::give_reply_back(msg& get, msg& reply) {
  std::lock_guard lock(mutex_);
  md& d = *get.memory;
  if (d.gone) return false;
  --d.references;
  if (d.what.threshold >= 0) ++d.what.threshold;
  reply.memory = nullptr;
  expect(d, get);
  return true;
}

std::vector<notice> objects::expire(clock::time_point now, clock::time_point& next) {
  std::vector<notice> notices;
  std::lock_guard lock(mutex_);
  while (!expected_.empty() && expected_.front().deadline <= now) {
    answer& a = expected_.front();
    md& d = *a.of;
    event e = a.what;
    e.status = -ETIMEDOUT;
    e.mlength = 0;
    drop_answer(a);
    // As if it had come: the op is over.
    if (d.what.threshold > 0) --d.what.threshold;
    notices.push_back(note_and_maybe_unlink(d, std::move(e)));
  }
  if (!expected_.empty()) next = std::min(next, expected_.front().deadline);
  return notices;
}

}  // namespace lnet
