// SPDX-License-Identifier: BSD-2-Clause
// Whose fault a failure was, and what comes of it.
#include <algorithm>
#include <cerrno>

#include "paths.hpp"

namespace lnet {

const char* to_string(health_status h) noexcept {
  switch (h) {
    case health_status::ok:
      return "OK";
    case health_status::local_interrupt:
      return "LOCAL_INTERRUPT";
    case health_status::local_dropped:
      return "LOCAL_DROPPED";
    case health_status::local_aborted:
      return "LOCAL_ABORTED";
    case health_status::local_no_route:
      return "LOCAL_NO_ROUTE";
    case health_status::local_error:
      return "LOCAL_ERROR";
    case health_status::local_timeout:
      return "LOCAL_TIMEOUT";
    case health_status::remote_error:
      return "REMOTE_ERROR";
    case health_status::remote_dropped:
      return "REMOTE_DROPPED";
    case health_status::remote_timeout:
      return "REMOTE_TIMEOUT";
    case health_status::network_timeout:
      return "NETWORK_TIMEOUT";
  }
  return "?";
}

void paths::hurt(int& health) {
  const int cost = static_cast<int>(std::min(options_.health_sensitivity, static_cast<unsigned>(full_health)));
  if (cost == 0) return;
  health = std::max(0, health - cost);
  if (on_unwell) on_unwell();
}

/// The peer's NI, when that was the end of its health.
peer_ni* paths::blame(msg& m) {
  if (m.over == lo_ || m.health == health_status::ok) return nullptr;
  const bool network = m.health == health_status::network_timeout;
  const bool theirs = network || (m.health >= health_status::remote_error && m.health <= health_status::remote_timeout);
  if (network || !theirs) hurt(m.over->health);
  if (!theirs) return nullptr;
  hurt(m.peer->health);
  if (m.peer->health > 0 || options_.health_sensitivity == 0 || !m.peer->up) return nullptr;
  m.peer->up = false;
  return m.peer;
}

void paths::praise(local_ni& n, peer_ni& p) {
  p.up = true;
  const auto gain = static_cast<int>(std::min(options_.health_sensitivity, static_cast<unsigned>(full_health)));
  for (int* const health : {&n.health, &p.health})
    if (*health < full_health) *health = std::min(full_health, *health + gain);
}

void paths::failed(msg& m) {
  std::lock_guard lock(mutex_);
  blame(m);
  for (tally* const t : {&m.over->stats, &m.peer->stats}) {
    ++t->errors;
    ++t->ended[static_cast<std::size_t>(m.health)];
  }
}

int paths::set_health(nid id, int value) {
  if (value < 0 || value > full_health) return -EINVAL;
  std::lock_guard lock(mutex_);
  const auto set = [&](int& health) {
    health = value;
    if (value < full_health && on_unwell) on_unwell();
    return 0;
  };
  if (local_ni* const n = find(id)) return set(n->health);
  if (const auto p = peer_nis_.find(id); p != peer_nis_.end()) return set(p->second->health);
  return -ENOENT;
}

bool paths::all_well() const {
  if (options_.health_sensitivity == 0) return true;
  std::lock_guard lock(mutex_);
  return std::all_of(nis_.begin(), nis_.end(), [](const auto& n) { return !n->up || n->health == full_health; }) &&
         std::all_of(peer_nis_.begin(), peer_nis_.end(), [](const auto& p) { return p.second->health == full_health; });
}

std::vector<recovery> paths::unwell() {
  std::vector<recovery> list;
  if (options_.health_sensitivity == 0) return list;
  std::lock_guard lock(mutex_);
  for (auto& [id, p] : peer_nis_) {
    if (p->health == full_health || p->recovering || !any_on(id.net)) continue;
    p->recovering = true;
    list.push_back({nid::any(), id, nullptr, p.get()});
  }
  for (auto& n : nis_) {
    if (n.get() == lo_ || !n->up || n->health == full_health || n->recovering) continue;
    // An NI shows that it works by reaching somebody: the healthiest peer of its network.
    const peer_ni* friendly = nullptr;
    for (auto& [id, p] : peer_nis_)
      if (id.net == n->nid.net && (!friendly || p->health > friendly->health)) friendly = p.get();
    if (!friendly) continue;
    n->recovering = true;
    list.push_back({n->nid, friendly->nid, n.get(), nullptr});
  }
  return list;
}

void paths::recovered(const recovery& r) {
  std::lock_guard lock(mutex_);
  (r.of_ni ? r.of_ni->recovering : r.of_peer->recovering) = false;
}

}  // namespace lnet
