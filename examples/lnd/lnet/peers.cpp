// SPDX-License-Identifier: BSD-2-Clause
// Who is known, and whether what comes from them may come in.
#include <algorithm>
#include <cerrno>

#include "paths.hpp"

namespace lnet {

namespace {

bool malformed(const header& h) {
  switch (h.type) {
    case msg_type::ack:
      return h.payload_length != 0;
    case msg_type::get:
      return h.payload_length != 0 || h.length > mtu;
    case msg_type::put:
    case msg_type::reply:
      return h.payload_length > mtu;
    default:
      return true;
  }
}

}  // namespace

paths::admission paths::admit(local_ni& n, const arrival& a, peer_ni*& p, nid& primary) {
  const header& h = a.hdr;
  if (malformed(h)) return admission::protocol_error;
  std::lock_guard lock(mutex_);
  if (n.starting) {
    n.early.push_back(a);
    return admission::waits;
  }
  if (a.from.net != n.nid.net) return admission::protocol_error;
  // Who is on our network goes straight to the NI that it means, and is who it says.
  if (h.dest_nid != n.nid && (h.dest_nid.net == n.nid.net || find(h.dest_nid))) return admission::protocol_error;
  if (h.src_nid != a.from && h.src_nid.net == a.from.net) return admission::protocol_error;
  const bool routed = h.dest_nid != n.nid || h.src_nid != a.from;
  p = peer_of(a.from);
  if (routed || !p || (h.dest_pid != options_.pid && h.dest_pid != any_pid)) {
    n.stats.routed += routed;
    ++n.stats.dropped;
    n.stats.dropped_bytes += h.payload_length;
    return admission::dropped;
  }
  primary = p->of->primary;
  for (tally* const t : {&n.stats, &p->stats}) {
    ++t->received;
    t->received_bytes += h.payload_length;
  }
  praise(n, *p);
  return admission::accepted;
}

void paths::dropped(local_ni& n, peer_ni* p, const header& h) {
  std::lock_guard lock(mutex_);
  for (tally* const t : {&n.stats, p ? &p->stats : nullptr}) {
    if (!t) continue;
    // It was counted as received, unless the counters were reset in between.
    t->received -= t->received > 0;
    t->received_bytes -= std::min<std::uint64_t>(t->received_bytes, h.payload_length);
    ++t->dropped;
    t->dropped_bytes += h.payload_length;
  }
}

void paths::notify(local_ni& n, nid id, bool alive) {
  std::lock_guard lock(mutex_);
  if (id.net != n.nid.net) return;
  if (peer_ni* const p = peer_of(id)) p->up = alive;
}

void paths::leave_home(peer_ni& p) {
  peer& home = *p.of;
  std::erase(home.nis, &p);
  p.of = nullptr;
  if (home.nis.empty())
    peers_.remove_if([&](const peer& each) { return &each == &home; });
  else if (home.primary == p.nid)
    home.primary = home.nis.front()->nid;
}

int paths::join(nid primary, const std::vector<nid>& others, bool take) {
  std::lock_guard lock(mutex_);
  const auto strange = [&](nid id) { return id.is_loopback() || find(id) || !any_on(id.net) || id.is_any(); };
  if (strange(primary) || (take && std::any_of(others.begin(), others.end(), strange))) return -EINVAL;
  peer& home = *peer_of(primary)->of;
  if (take) home.primary = primary;
  for (const nid id : others) {
    if (strange(id)) continue;
    peer_ni& p = *peer_of(id);
    if (p.of == &home || (!take && p.of->nis.size() > 1)) continue;
    leave_home(p);
    p.of = &home;
    home.nis.push_back(&p);
  }
  return 0;
}

int paths::disband(nid primary) {
  std::lock_guard lock(mutex_);
  const auto known = std::find_if(peers_.begin(), peers_.end(), [&](const peer& p) { return p.primary == primary; });
  if (known == peers_.end()) return -ENOENT;
  while (known->nis.size() > 1) {
    peer_ni& p = *known->nis.back();
    known->nis.pop_back();
    p.of = &peers_.emplace_back();
    *p.of = {p.nid, {&p}};
  }
  known->primary = known->nis.front()->nid;
  return 0;
}

}  // namespace lnet
