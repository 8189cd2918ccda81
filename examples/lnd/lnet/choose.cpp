// SPDX-License-Identifier: BSD-2-Clause
// Which NI, and which of the peer's, a message takes.
#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "paths.hpp"

namespace lnet {

paths::paths(const host_options& options, const cpt_table& table) : options_(options), table_(table) {
  if (table.count() < 2) return;
  for (unsigned cpt = 0; cpt < table.count(); ++cpt)
    for (const unsigned cpu : table.cpus(cpt)) {
      if (cpt_of_cpu_.size() <= cpu) cpt_of_cpu_.resize(cpu + 1, ~0u);
      cpt_of_cpu_[cpu] = cpt;
    }
}

unsigned paths::caller_cpt() const {
  if (cpt_of_cpu_.empty()) return ~0u;
  const int cpu = sched_getcpu();
  return cpu >= 0 && static_cast<std::size_t>(cpu) < cpt_of_cpu_.size() ? cpt_of_cpu_[static_cast<unsigned>(cpu)] : ~0u;
}

bool paths::better(const msg& m, const choice& a, const choice& b, unsigned cpt) const {
  if (!b.over) return true;
  const auto compare = [](auto x, auto y) { return x < y ? -1 : x > y ? 1 : 0; };
  const auto other = [&](const choice& c) { return (c.over != m.failed_ni) + (c.to != m.failed_peer); };
  const auto near = [&](const choice& c) { return std::count(c.over->cpts.begin(), c.over->cpts.end(), cpt); };
  int order = compare(other(a), other(b));
  if (order == 0) order = compare(a.to->up, b.to->up);
  if (order == 0) order = compare(a.over->health + a.to->health, b.over->health + b.to->health);
  if (order == 0 && cpt != ~0u) order = compare(near(a), near(b));
  if (order == 0) order = compare(a.over->credits, b.over->credits);
  if (order == 0) order = compare(a.to->credits, b.to->credits);
  if (order == 0) order = compare(b.over->chosen + b.to->chosen, a.over->chosen + a.to->chosen);
  return order > 0;
}

paths::choice paths::choose_for(const msg& m, peer_ni& target) {
  choice best;
  const unsigned cpt = caller_cpt();
  const auto look_at = [&](peer_ni& p) {
    for (const auto& n : nis_) {
      if (!n->up || n->nid.net != p.nid.net || (!m.wanted.is_any() && n->nid != m.wanted)) continue;
      if (const choice c{n.get(), &p}; better(m, c, best, cpt)) best = c;
    }
  };
  if (m.exact)
    look_at(target);
  else
    for (peer_ni* p : target.of->nis) look_at(*p);
  return best;
}

paths::choice paths::choose(const msg& m) {
  // What answers goes back the way the question came, as long as that works.
  if (m.from && m.tries == 0 && m.from->up) return {m.from, m.peer};
  if (!m.wanted.is_any() && !find(m.wanted)) return {};
  if (m.destination.is_loopback() || find(m.destination)) return {lo_, peer_of(nid::loopback())};
  peer_ni* const target = peer_of(m.destination);
  return target ? choose_for(m, *target) : choice{};
}

local_ni* paths::find(nid id) const {
  for (const auto& n : nis_)
    if (n->up && n->nid == id) return n.get();
  return nullptr;
}

local_ni* paths::any_on(net where) const {
  for (const auto& n : nis_)
    if (n->up && n->nid.net == where) return n.get();
  return nullptr;
}

peer_ni* paths::peer_of(nid id) {
  if (last_peer_ && last_peer_->nid == id) return last_peer_;
  if (const auto known = peer_nis_.find(id); known != peer_nis_.end()) return last_peer_ = known->second.get();
  const local_ni* const n = any_on(id.net);
  if (!n || id.is_any()) return nullptr;
  auto made = std::make_unique<peer_ni>();
  made->nid = id;
  made->limit = made->credits = made->least_credits = static_cast<int>(n->peer_tx_credits);
  made->of = &peers_.emplace_back();
  *made->of = {id, {made.get()}};
  return (peer_nis_[id] = std::move(made)).get();
}

}  // namespace lnet
