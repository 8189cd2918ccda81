// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Manages a host: `control_server(path, host_management)`. A file of its own, for who manages something else does
/// without the host's code.

#include "management.hpp"

namespace lnet {

/// Of a host, which outlives it.
class host_management final : public management {
 public:
  explicit host_management(host& h) : host_(h) {}
  std::vector<ni_info> nis() const override { return host_.nis(); }
  std::vector<peer_info> peers() const override { return host_.peers(); }
  counters stats() const override { return host_.stats(); }
  void reset_stats() override { host_.reset_stats(); }
  int net_add(const net_spec& s, std::string& why) override { return host_.net_add(s, why); }
  int net_delete(net n) override { return host_.net_delete(n); }
  int peer_add(nid primary, const std::vector<nid>& others) override { return host_.peer_add(primary, others); }
  int peer_delete(nid primary) override { return host_.peer_delete(primary); }
  int ping(nid n, std::chrono::milliseconds limit, std::vector<nid>& found) override {
    return host_.ping(n, limit, found);
  }
  int set_health(nid n, int value) override { return host_.set_health(n, value); }
  int control(net n, lnet::control& c) override { return host_.control(n, c); }

 private:
  host& host_;
};

}  // namespace lnet
