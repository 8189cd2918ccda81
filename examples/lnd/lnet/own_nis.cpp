// SPDX-License-Identifier: BSD-2-Clause
// The NIs of this host, and what is told of them and of peers.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "paths.hpp"

namespace lnet {

namespace {

counters told(const tally& t) {
  counters c;
  t.add_to(c);
  return c;
}

}  // namespace

void tally::add_to(counters& c) const {
  c.sent += sent;
  c.received += received;
  c.dropped += dropped;
  c.routed += routed;
  c.sent_bytes += sent_bytes;
  c.received_bytes += received_bytes;
  c.dropped_bytes += dropped_bytes;
  c.errors += errors;
  c.resends += resends;
  c.timeouts += timeouts;
  for (std::size_t i = 0; i < ended.size(); ++i)
    if (ended[i] != 0) c.health[static_cast<health_status>(i)] += ended[i];
}

local_ni& paths::add(std::unique_ptr<local_ni> n) {
  std::lock_guard lock(mutex_);
  const auto before = lo_ ? std::prev(nis_.end()) : nis_.end();
  if (n->nid.is_loopback()) lo_ = n.get();
  return **nis_.insert(before, std::move(n));
}

bool paths::has(net where) const {
  std::lock_guard lock(mutex_);
  return std::any_of(nis_.begin(), nis_.end(), [&](const auto& n) { return n->nid.net == where; });
}

int paths::open(local_ni& n, std::vector<arrival>& early) {
  std::lock_guard lock(mutex_);
  if (find(n.nid)) return -EEXIST;
  n.credits = n.least_credits = static_cast<int>(n.max_tx_credits);
  n.up = true;
  n.starting = false;
  early = std::move(n.early);
  return 0;
}

void paths::give_up(local_ni& n, std::vector<arrival>& early) {
  std::lock_guard lock(mutex_);
  n.starting = false;
  early = std::move(n.early);
}

void paths::remove(local_ni& n) {
  std::lock_guard lock(mutex_);
  const auto at = std::find_if(nis_.begin(), nis_.end(), [&](const auto& each) { return each.get() == &n; });
  if (at == nis_.end()) return;
  gone_.push_back(std::move(*at));
  nis_.erase(at);
  if (lo_ == &n) lo_ = nullptr;
}

std::vector<local_ni*> paths::on(net where) const {
  std::vector<local_ni*> list = all();
  std::erase_if(list, [&](const local_ni* n) { return n->nid.net != where; });
  return list;
}

std::vector<local_ni*> paths::all() const {
  std::lock_guard lock(mutex_);
  std::vector<local_ni*> list;
  for (const auto& n : nis_)
    if (!n->starting) list.push_back(n.get());
  return list;
}

std::vector<ni_info> paths::nis() const {
  std::lock_guard lock(mutex_);
  std::vector<ni_info> list;
  for (const auto& n : nis_) {
    if (n->starting) continue;
    ni_info i;
    i.nid = n->nid;
    i.interface = n->interface.name;
    i.up = n->up;
    i.health = n->health;
    i.credits = n->max_tx_credits;
    i.available_credits = static_cast<unsigned>(std::max(0, n->credits));
    i.peer_credits = n->peer_tx_credits;
    i.least_credits = n->least_credits;
    i.cpts = n->cpts;
    i.stats = told(n->stats);
    list.push_back(std::move(i));
  }
  return list;
}

std::vector<peer_info> paths::peers() const {
  std::lock_guard lock(mutex_);
  std::vector<peer_info> list;
  for (const peer& each : peers_) {
    if (each.primary.is_loopback()) continue;
    peer_info& i = list.emplace_back();
    i.primary = each.primary;
    for (const peer_ni* const p : each.nis)
      i.nis.push_back({p->nid, p->up, p->health, static_cast<unsigned>(p->limit), p->credits, p->least_credits,
                       p->queued_bytes, told(p->stats)});
  }
  return list;
}

void paths::count_resend(msg& m) {
  std::lock_guard lock(mutex_);
  ++m.over->stats.resends;
  ++m.peer->stats.resends;
}

void paths::count_timeouts(std::uint64_t number) {
  std::lock_guard lock(mutex_);
  own_.timeouts += number;
}

void paths::moved_by_rdma(msg& m, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  m.over->stats.received_bytes += bytes;
  m.peer->stats.received_bytes += bytes;
}

counters paths::stats() const {
  std::lock_guard lock(mutex_);
  counters c = told(own_);
  for (const auto* const list : {&nis_, &gone_})
    for (const auto& n : *list) n->stats.add_to(c);
  return c;
}

void paths::reset_stats() {
  std::lock_guard lock(mutex_);
  own_ = {};
  for (const auto* const list : {&nis_, &gone_})
    for (const auto& n : *list) n->stats = {};
  for (auto& [id, p] : peer_nis_) p->stats = {};
}

}  // namespace lnet
