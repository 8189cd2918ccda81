// SPDX-License-Identifier: BSD-2-Clause
// The life of a node.
#include "core.hpp"

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "../lolnd/lolnd.hpp"

namespace lnet {

namespace {

[[noreturn]] void fail(int rc, const std::string& why) {
  throw std::system_error(-rc, std::generic_category(), "LNet: " + why);
}

std::uint64_t random_cookie() {
  std::random_device r;
  return std::uint64_t{r()} << 32 | r();
}

}  // namespace

core::core(host_options o, std::vector<driver_ptr> drivers)
    : options_(std::move(o)), incarnation_(random_cookie()), drivers_(std::move(drivers)) {
  options_.transaction_timeout = std::max(options_.transaction_timeout, std::chrono::seconds(1));
  std::string why;
  std::vector<net_spec> nets;
  if (!parse_networks(options_.networks, nets, why)) fail(-EINVAL, "networks \"" + options_.networks + "\": " + why);
  if (options_.cpu_npartitions > 1 || !options_.cpu_pattern.empty())
    if (!cpt_table::make(cpu_topology::of_this_machine(), std::max(1u, options_.cpu_npartitions), options_.cpu_pattern,
                         cpts_, why))
      fail(-EINVAL, "CPU partitions \"" + options_.cpu_pattern + "\": " + why);
  paths_ = std::make_unique<paths>(options_, cpts_);
  paths_->on_unwell = [this] { poke(); };
  drivers_.push_back(std::make_unique<lolnd>());
  net_spec loopback;
  loopback.net = nid::loopback().net;
  nets.insert(nets.begin(), loopback);
  for (const net_spec& n : nets)
    if (const int rc = net_add(n, why)) {
      for (local_ni* each : paths_->all()) stop(*each);
      things.deliver_all(things.unlink_all());
      things.wait_for_all();
      fail(rc, why);
    }
  watcher_ = std::thread([this] { watch(); });
}

core::~core() {
  closing_.store(true, std::memory_order_release);
  {
    std::lock_guard lock(watch_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  watcher_.join();
  for (local_ni* const n : paths_->all()) stop(*n);
  things.deliver_all(things.unlink_all());
  things.wait_for_all();
  messages_.close();
  messages_.wait();
}

lnet_lnd* core::driver_for(std::uint16_t kind) const {
  for (const driver_ptr& d : drivers_)
    if (d && d->lnd_type() == kind) return d.get();
  return nullptr;
}

int core::attach_md(me_handle entry, const memory_descriptor& what, unlink_op op, md_handle& out) {
  if (closing()) return -ESHUTDOWN;
  msg_queue taken, refused;
  const int rc = things.attach_md(entry, what, op, out, taken, refused);
  discard_all(refused);
  while (msg* const m = taken.pop()) {
    local_ni& n = *m->over;
    receive(*m, true);
    n.calls.leave();
  }
  return rc;
}

int core::unlink_me(me_handle e) {
  notice n;
  const int rc = things.unlink_me(e, n);
  things.deliver(std::move(n));
  return rc;
}

int core::unlink_md(md_handle d) {
  notice n;
  const int rc = things.unlink_md(d, n);
  things.deliver(std::move(n));
  return rc;
}

int core::clear_lazy(unsigned portal) {
  msg_queue dropped;
  const int rc = things.clear_lazy(portal, dropped);
  discard_all(dropped);
  return rc;
}

counters core::stats() const {
  counters c = paths_->stats();
  c.allocated = messages_.count();
  c.most_allocated = most_messages_.load(std::memory_order_relaxed);
  return c;
}

void core::reset_stats() {
  paths_->reset_stats();
  most_messages_.store(messages_.count(), std::memory_order_relaxed);
}

process_id core::id(std::size_t number) const {
  const auto nis = paths_->all();
  return number < nis.size() ? process_id{nis[number]->nid, options_.pid} : process_id{};
}

}  // namespace lnet
