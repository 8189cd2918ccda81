// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a management program may ask of an LNet and change in it. An interface, so that what asks can be tested
/// without a network. Statuses are 0 or -errno.

#include "host.hpp"

namespace lnet {

class management {
 public:
  virtual ~management() = default;
  virtual std::vector<ni_info> nis() const = 0;
  virtual std::vector<peer_info> peers() const = 0;
  virtual counters stats() const = 0;
  virtual void reset_stats() = 0;
  virtual int net_add(const net_spec&, std::string& why) = 0;
  virtual int net_delete(net) = 0;
  virtual int peer_add(nid primary, const std::vector<nid>& others) = 0;
  virtual int peer_delete(nid primary) = 0;
  virtual int ping(nid, std::chrono::milliseconds limit, std::vector<nid>& found) = 0;
  virtual int set_health(nid ours_or_a_peers, int value) = 0;
  virtual int control(net, lnet::control&) = 0;
};

}  // namespace lnet
