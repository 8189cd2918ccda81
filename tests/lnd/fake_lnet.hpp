// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// An LNet without a network, for what manages one: it keeps what it is told.

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "management.hpp"

namespace lnet_test {

class fake_lnet : public lnet::management {
 public:
  fake_lnet() {
    lnet::ni_info lo;
    lo.nid = lnet::nid::loopback();
    lo.cpts = {0, 1};
    nis_.push_back(lo);
  }

  std::vector<lnet::ni_info> nis() const override {
    const std::lock_guard held(lock_);
    return nis_;
  }
  std::vector<lnet::peer_info> peers() const override {
    const std::lock_guard held(lock_);
    return peers_;
  }
  lnet::counters stats() const override {
    const std::lock_guard held(lock_);
    return stats_;
  }
  void reset_stats() override {
    const std::lock_guard held(lock_);
    stats_ = {};
  }
  /// Addresses count up from 10.0.0.1; CPTs other than 0 and 1 are not there.
  int net_add(const lnet::net_spec& s, std::string& why) override {
    const std::lock_guard held(lock_);
    if (has(s.net)) return why = "it is there already", -EEXIST;
    std::vector<lnet::interface_spec> interfaces = s.interfaces;
    if (interfaces.empty()) interfaces.emplace_back();
    std::vector<lnet::ni_info> added;
    for (const auto& i : interfaces) {
      lnet::ni_info ni;
      ni.nid = {0x0a000001 + static_cast<std::uint32_t>(nis_.size() - 1 + added.size()), s.net};
      ni.interface = i.name;
      ni.credits = ni.available_credits = 256;
      ni.peer_credits = 8;
      ni.least_credits = -3;
      ni.cpts = !i.cpts.empty() ? i.cpts : !s.cpts.empty() ? s.cpts : std::vector<unsigned>{0, 1};
      if (ni.cpts.back() > 1) return -EINVAL;
      added.push_back(ni);
    }
    nis_.insert(nis_.end() - 1, added.begin(), added.end());
    return 0;
  }
  int net_delete(lnet::net n) override {
    const std::lock_guard held(lock_);
    return std::erase_if(nis_, [&](const auto& i) { return i.nid.net == n; }) != 0 ? 0 : -ENOENT;
  }
  int peer_add(lnet::nid primary, const std::vector<lnet::nid>& others) override {
    const std::lock_guard held(lock_);
    if (!has(primary.net)) return -EINVAL;
    lnet::peer_info p{primary, std::vector<lnet::peer_ni_info>(1)};
    p.nis.front().nid = primary;
    for (const lnet::nid n : others) p.nis.emplace_back().nid = n;
    peers_.push_back(p);
    return 0;
  }
  int peer_delete(lnet::nid primary) override {
    const std::lock_guard held(lock_);
    return std::erase_if(peers_, [&](const auto& p) { return p.primary == primary; }) != 0 ? 0 : -ENOENT;
  }
  /// Whoever is known answers.
  int ping(lnet::nid n, std::chrono::milliseconds limit, std::vector<lnet::nid>& found) override {
    const std::lock_guard held(lock_);
    ping_limit = limit;
    for (const auto& p : peers_)
      for (const auto& i : p.nis)
        if (i.nid == n) {
          for (const auto& each : p.nis) found.push_back(each.nid);
          return 0;
        }
    return -ETIMEDOUT;
  }
  int set_health(lnet::nid n, int value) override {
    const std::lock_guard held(lock_);
    for (auto& i : nis_)
      if (i.nid == n) return i.health = value, 0;
    for (auto& p : peers_)
      for (auto& i : p.nis)
        if (i.nid == n) return i.health = value, 0;
    return -ENOENT;
  }
  int control(lnet::net n, lnet::control& c) override {
    const std::lock_guard held(lock_);
    if (throws) throw std::system_error(ENODEV, std::generic_category(), "the driver is gone");
    if (!has(n)) return -ENOENT;
    if (c.what == lnet::control::close_connection) closed.push_back(c.nid);
    if (c.what == lnet::control::peer_list) c.answer = {"10.0.0.9@kfx: 3 \"ops\"", "10.0.0.8@kfx: idle"};
    return 0;
  }

  lnet::counters stats_;
  std::vector<lnet::nid> closed;
  std::chrono::milliseconds ping_limit{};
  bool throws = false;

 private:
  bool has(lnet::net n) const {
    return std::any_of(nis_.begin(), nis_.end(), [&](const auto& i) { return i.nid.net == n; });
  }

  mutable std::mutex lock_;
  std::vector<lnet::ni_info> nis_;
  std::vector<lnet::peer_info> peers_;
};

}  // namespace lnet_test
