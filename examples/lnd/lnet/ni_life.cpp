// SPDX-License-Identifier: BSD-2-Clause
// NIs come and go.
#include <cerrno>
#include <cstring>
#include <numeric>

#include "core.hpp"

namespace lnet {

namespace {

std::string because(int rc) { return std::string(": ") + std::strerror(-rc); }

}  // namespace

int core::net_add(const net_spec& spec, std::string& why) {
  if (closing()) return -ESHUTDOWN;
  std::lock_guard lock(nets_mutex_);
  const std::string name = to_string(spec.net);
  if (paths_->has(spec.net)) {
    why = name + " is there already";
    return -EEXIST;
  }
  lnet_lnd* const driver = driver_for(spec.net.kind);
  if (!driver) {
    why = "no driver for " + name + " was given";
    return -ENODEV;
  }
  for (const unsigned cpt : spec.cpts)
    if (cpt >= cpts_.count()) {
      why = name + " wants CPT " + std::to_string(cpt) + " of " + std::to_string(cpts_.count());
      return -EINVAL;
    }
  auto interfaces = spec.interfaces;
  if (interfaces.empty()) interfaces.emplace_back();
  for (const interface_spec& i : interfaces)
    if (const int rc = start(spec, i, *driver, why)) {
      for (local_ni* const n : paths_->on(spec.net)) stop(*n);
      return rc;
    }
  offer_ping_answer();
  return 0;
}

int core::start(const net_spec& spec, const interface_spec& interface, lnet_lnd& driver, std::string& why) {
  auto made = std::make_unique<local_ni>();
  made->nid = {0, spec.net};
  made->interface = interface;
  made->table = &cpts_;
  made->cpts = interface.cpts.empty() ? spec.cpts : interface.cpts;
  if (made->cpts.empty()) {
    made->cpts.resize(cpts_.count());
    std::iota(made->cpts.begin(), made->cpts.end(), 0u);
  }
  const std::string name = to_string(spec.net) + (interface.name.empty() ? "" : "(" + interface.name + ")");
  for (const unsigned cpt : made->cpts)
    if (cpt >= cpts_.count()) {
      why = name + " wants CPT " + std::to_string(cpt) + " of " + std::to_string(cpts_.count());
      return -EINVAL;
    }
  made->max_tx_credits = options_.credits;
  made->peer_tx_credits = options_.peer_credits;
  made->tunables = options_.tunables;
  made->owner = this;
  made->driver = &driver;
  local_ni& n = paths_->add(std::move(made));
  int rc = driver.lnd_startup(n);
  if (rc != 0) {
    why = name + " does not start" + because(rc);
    paths_->remove(n);
    return rc < 0 ? rc : -EIO;
  }
  std::vector<arrival> early;
  if (n.max_tx_credits == 0 || n.peer_tx_credits == 0) {
    why = name + " has no credits";
    rc = -EINVAL;
  } else if ((rc = paths_->open(n, early)) != 0) {
    why = name + ": " + to_string(n.nid) + " is there already";
  }
  if (rc != 0) {
    paths_->give_up(n, early);
    for (const arrival& a : early) driver.lnd_recv(n, a.cookie, nullptr, false, {}, a.hdr.payload_length);
    driver.lnd_shutdown(n);
    paths_->remove(n);
    return rc;
  }
  for (const arrival& a : early)
    // Too late to tell its driver that it was wrong.
    if (parse(n, a) != 0) driver.lnd_recv(n, a.cookie, nullptr, false, {}, a.hdr.payload_length);
  return 0;
}

void core::stop(local_ni& n) {
  msg_queue orphans, delayed;
  paths_->close(n, orphans);
  while (msg* const m = orphans.pop()) {
    m->health = health_status::local_no_route;
    finalize(*m, -ENETDOWN);
  }
  things.take_delayed(n, delayed);
  discard_all(delayed);
  n.calls.wait();
  n.driver->lnd_shutdown(n);
  paths_->remove(n);
}

int core::net_delete(net where) {
  if (where.kind == kind_lo) return -EINVAL;
  std::lock_guard lock(nets_mutex_);
  const auto nis = paths_->on(where);
  if (nis.empty()) return -ENOENT;
  for (local_ni* const n : nis) stop(*n);
  offer_ping_answer();
  return 0;
}

int core::control(net where, lnet::control& request) {
  const auto nis = paths_->on(where);
  if (nis.empty()) return -ENOENT;
  int result = 0;
  for (local_ni* const n : nis) {
    if (!n->calls.enter()) continue;
    const int rc = n->driver->lnd_ctl(*n, request);
    n->calls.leave();
    if (rc != 0 && result == 0) result = rc;
  }
  return result;
}

}  // namespace lnet
