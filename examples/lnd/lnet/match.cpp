// SPDX-License-Identifier: BSD-2-Clause
// Where messages that arrive find their memory.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "objects.hpp"
#include "paths.hpp"

namespace lnet {

namespace {

bool may_come_in(const me& e, const msg& m) {
  const nid who = e.match.nid;
  if (!who.is_any() && who != m.what.initiator.nid && who != m.what.source) return false;
  if (e.match.pid != any_pid && e.match.pid != m.what.initiator.pid) return false;
  return ((e.bits ^ m.what.match_bits) & ~e.ignore) == 0;
}

}  // namespace

objects::found objects::try_md(md& d, msg& m) {
  const bool put = m.what.type == event_type::put;
  if (d.spent() || !(d.what.options & (put ? md_op_put : md_op_get))) return found::nothing;
  if (!may_come_in(*d.entry, m)) return found::nothing;
  const std::size_t offset = d.what.options & md_manage_remote ? m.hdr.offset : d.offset;
  std::size_t room = offset < d.length ? d.length - offset : 0;
  if (d.what.options & md_max_size) room = std::min(room, d.what.max_size);
  // It was meant for this one: no other is looked for.
  if (m.what.rlength > room && !(d.what.options & md_truncate)) return found::refused;

  m.what.offset = offset;
  m.what.mlength = std::min(m.what.rlength, room);
  if (d.what.options & md_ack_disable) m.wants_ack = false;
  hold(d, m);
  if (!(d.what.options & md_manage_remote)) d.offset = offset + m.what.mlength;
  // At once, so that its match entry is out of the way of the next message.
  if (d.spent() && d.goes_when_spent) forget(d);
  return found::taken;
}

objects::found objects::match(msg& m, bool may_wait) {
  if (m.hdr.portal >= portal_count) return found::refused;
  std::lock_guard lock(mutex_);
  portal& p = portals_[m.hdr.portal];
  for (me& e : p.entries)
    if (e.memory)
      if (const found f = try_md(*e.memory, m); f != found::nothing) return f;
  if (!p.lazy || m.what.type != event_type::put) return found::refused;
  if (!may_wait) return found::nothing;
  // An NI that stops has its waiting messages taken out; from then on none is put in.
  if (!m.over->calls.enter()) return found::refused;
  p.delayed.push(m);
  return found::waits;
}

int objects::set_lazy(unsigned portal) {
  if (portal >= portal_count) return -EINVAL;
  std::lock_guard lock(mutex_);
  portals_[portal].lazy = true;
  return 0;
}

int objects::clear_lazy(unsigned portal, msg_queue& dropped) {
  if (portal >= portal_count) return -EINVAL;
  std::lock_guard lock(mutex_);
  portals_[portal].lazy = false;
  dropped = std::exchange(portals_[portal].delayed, {});
  return 0;
}

void objects::take_delayed(const local_ni& n, msg_queue& out) {
  std::lock_guard lock(mutex_);
  for (portal& p : portals_) p.delayed.move_if([&](const msg& m) { return m.over == &n; }, out);
}

}  // namespace lnet
