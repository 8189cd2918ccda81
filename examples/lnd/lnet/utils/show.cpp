// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <map>

#include "commands.hpp"

namespace lnet {
namespace {

std::uint64_t ended(const counters& c, health_status s) {
  const auto found = c.health.find(s);
  return found == c.health.end() ? 0 : found->second;
}

void show_traffic(yaml& under, const counters& c) {
  yaml& map = under.add("statistics");
  map.add("send_count", c.sent);
  map.add("recv_count", c.received);
  map.add("drop_count", c.dropped);
  map.add("send_length", c.sent_bytes);
  map.add("recv_length", c.received_bytes);
  map.add("drop_length", c.dropped_bytes);
}

void show_interface(yaml& ni, const ni_info& i) {
  if (!i.interface.empty()) ni.add("interfaces").add("0", i.interface);
}

void show_cpts(yaml& ni, const ni_info& i) { ni.add("CPT", "[" + cpts_text(i.cpts) + "]"); }

void show_details(yaml& ni, const ni_info& i) {
  show_traffic(ni, i.stats);
  yaml& health = ni.add("health stats");
  health.add("health value", i.health);
  health.add("interrupts", ended(i.stats, health_status::local_interrupt));
  health.add("dropped", ended(i.stats, health_status::local_dropped));
  health.add("aborted", ended(i.stats, health_status::local_aborted));
  health.add("no route", ended(i.stats, health_status::local_no_route));
  health.add("timeouts", ended(i.stats, health_status::local_timeout));
  health.add("error", ended(i.stats, health_status::local_error));
  yaml& tunables = ni.add("tunables");
  tunables.add("peer_credits", i.peer_credits);
  tunables.add("credits", i.credits);
  tunables.add("available_tx_credits", i.available_credits);
  tunables.add("min_tx_credits", i.least_credits);
  show_cpts(ni, i);
}

void show_details(yaml& ni, const peer_ni_info& i) {
  ni.add("max_ni_tx_credits", i.credits);
  ni.add("available_tx_credits", i.available_credits);
  ni.add("min_tx_credits", i.least_credits);
  ni.add("tx_q_num_of_bytes", i.queued_bytes);
  show_traffic(ni, i.stats);
  yaml& health = ni.add("health stats");
  health.add("health value", i.health);
  health.add("dropped", ended(i.stats, health_status::remote_dropped));
  health.add("timeout", ended(i.stats, health_status::remote_timeout));
  health.add("error", ended(i.stats, health_status::remote_error));
  health.add("network timeout", ended(i.stats, health_status::network_timeout));
}

/// The NIs of each network in turn, in the order in which networks first appear.
template <typename Each>
void by_net(yaml& under, const std::vector<ni_info>& nis, Each&& each) {
  std::map<net, yaml*> lists;
  for (const ni_info& i : nis) {
    yaml*& list = lists[i.nid.net];
    if (list == nullptr) {
      yaml& item = under.item();
      item.add("net type", to_string(i.nid.net));
      list = &item.add("local NI(s)");
    }
    each(list->item(), i);
  }
}

}  // namespace

void show_nets(yaml& under, const std::vector<ni_info>& nis, bool verbose) {
  by_net(under, nis, [&](yaml& ni, const ni_info& i) {
    ni.add("nid", to_string(i.nid));
    ni.add("status", i.up ? "up" : "down");
    show_interface(ni, i);
    if (verbose) show_details(ni, i);
  });
}

void show_peers(yaml& under, const std::vector<peer_info>& peers, bool verbose) {
  for (const peer_info& p : peers) {
    yaml& peer = under.item();
    peer.add("primary nid", to_string(p.primary));
    peer.add("Multi-Rail", p.nis.size() > 1 ? "True" : "False");
    yaml& list = peer.add("peer ni");
    for (const peer_ni_info& i : p.nis) {
      yaml& ni = list.item();
      ni.add("nid", to_string(i.nid));
      ni.add("state", i.up ? "up" : "down");
      if (verbose) show_details(ni, i);
    }
  }
}

void show_stats(yaml& under, const counters& c) {
  under.add("msgs_alloc", c.allocated);
  under.add("msgs_max", c.most_allocated);
  under.add("errors", c.errors);
  under.add("send_count", c.sent);
  under.add("resend_count", c.resends);
  under.add("response_timeout_count", c.timeouts);
  under.add("local_interrupt_count", ended(c, health_status::local_interrupt));
  under.add("local_dropped_count", ended(c, health_status::local_dropped));
  under.add("local_aborted_count", ended(c, health_status::local_aborted));
  under.add("local_no_route_count", ended(c, health_status::local_no_route));
  under.add("local_timeout_count", ended(c, health_status::local_timeout));
  under.add("local_error_count", ended(c, health_status::local_error));
  under.add("remote_dropped_count", ended(c, health_status::remote_dropped));
  under.add("remote_error_count", ended(c, health_status::remote_error));
  under.add("remote_timeout_count", ended(c, health_status::remote_timeout));
  under.add("network_timeout_count", ended(c, health_status::network_timeout));
  under.add("recv_count", c.received);
  under.add("route_count", c.routed);
  under.add("drop_count", c.dropped);
  under.add("send_length", c.sent_bytes);
  under.add("recv_length", c.received_bytes);
  under.add("drop_length", c.dropped_bytes);
}

void show_setup(yaml& document, const std::vector<ni_info>& nis, const std::vector<peer_info>& peers) {
  std::vector<ni_info> ours;
  std::copy_if(nis.begin(), nis.end(), std::back_inserter(ours), [](const ni_info& i) { return !i.nid.is_loopback(); });
  by_net(document.add("net"), ours, [](yaml& ni, const ni_info& i) {
    ni.add("nid", to_string(i.nid));
    show_interface(ni, i);
    show_cpts(ni, i);
  });
  std::vector<peer_info> others;
  std::copy_if(peers.begin(), peers.end(), std::back_inserter(others),
               [](const peer_info& p) { return !p.primary.is_loopback(); });
  yaml& list = document.add("peer");
  for (const peer_info& p : others) {
    yaml& peer = list.item();
    peer.add("primary nid", to_string(p.primary));
    yaml& members = peer.add("peer ni");
    for (const peer_ni_info& i : p.nis) members.item().add("nid", to_string(i.nid));
  }
}

}  // namespace lnet
