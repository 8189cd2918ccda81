// SPDX-License-Identifier: BSD-2-Clause
// Messages leave with a credit of the peer and one of the NI, and wait for them in that order, first come, first
// served. Nothing is ever dropped for want of a credit.
#include <algorithm>
#include <utility>

#include "paths.hpp"

namespace lnet {

namespace {

bool try_again(health_status h) {
  switch (h) {
    case health_status::local_interrupt:
    case health_status::local_dropped:
    case health_status::local_aborted:
    case health_status::local_no_route:
    case health_status::local_timeout:
    case health_status::remote_dropped:
      return true;
    default:
      return false;
  }
}

}  // namespace

paths::way paths::post(msg& m) {
  std::lock_guard lock(mutex_);
  const auto [over, to] = choose(m);
  if (!over || !to) return way::none;
  m.over = over;
  m.peer = to;
  m.hdr.src_nid = over->nid;
  m.hdr.dest_nid = to->nid;
  m.target = {to->nid, m.hdr.dest_pid};
  if (m.what.type == event_type::send) m.what.source = to->nid;
  m.health = health_status::ok;
  m.sending = true;
  ++over->chosen;
  ++to->chosen;
  if (over != lo_) {
    to->queued_bytes += m.length;
    to->least_credits = std::min(to->least_credits, --to->credits);
    if (to->credits < 0) {
      to->waiting.push(m);
      return way::waits;
    }
    m.peer_credit = true;
    if (!take_ni_credit(m)) return way::waits;
  }
  over->calls.enter();
  return way::go;
}

bool paths::take_ni_credit(msg& m) {
  local_ni& n = *m.over;
  n.least_credits = std::min(n.least_credits, --n.credits);
  if (n.credits < 0) {
    n.waiting.push(m);
    return false;
  }
  return m.ni_credit = true;
}

void paths::give_back(msg& m, aftermath& after) {
  if (m.over == lo_) return;
  m.peer->queued_bytes -= m.length;
  if (std::exchange(m.ni_credit, false)) {
    ++m.over->credits;
    if (msg* const next = m.over->waiting.pop()) {
      next->ni_credit = true;
      next->over->calls.enter();
      after.ready[0] = next;
    }
  }
  if (std::exchange(m.peer_credit, false)) {
    ++m.peer->credits;
    if (msg* const next = m.peer->waiting.pop()) {
      next->peer_credit = true;
      if (take_ni_credit(*next)) {
        next->over->calls.enter();
        after.ready[1] = next;
      }
    }
  }
}

paths::aftermath paths::sent(msg& m) {
  aftermath after;
  const auto now = m.status == 0 ? clock::time_point{} : clock::now();
  std::lock_guard lock(mutex_);
  m.sending = false;
  if (m.status == 0) {
    m.health = health_status::ok;
    praise(*m.over, *m.peer);
  } else {
    after.dead = blame(m);
    after.again = !m.once && try_again(m.health) && m.tries < options_.retry_count && now < m.give_up;
  }
  for (tally* const t : {&m.over->stats, &m.peer->stats}) {
    ++t->ended[static_cast<std::size_t>(m.health)];
    if (m.status == 0) {
      ++t->sent;
      t->sent_bytes += m.length;
    } else if (!after.again) {
      ++t->errors;
    }
  }
  give_back(m, after);
  return after;
}

void paths::close(local_ni& n, msg_queue& orphans) {
  std::lock_guard lock(mutex_);
  n.up = false;
  n.calls.close();
  while (msg* const m = n.waiting.pop()) {
    ++n.credits;
    orphans.push(*m);
  }
  for (auto& [id, p] : peer_nis_) {
    msg_queue its;
    p->waiting.move_if([&](const msg& m) { return m.over == &n; }, its);
    while (msg* const m = its.pop()) {
      ++p->credits;
      orphans.push(*m);
    }
  }
}

}  // namespace lnet
