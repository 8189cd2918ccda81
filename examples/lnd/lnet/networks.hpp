// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The `networks=` module parameter: `<net>[(<if>[[cpts]],…)][[cpts]],…`, e.g.
/// "kfx0(eth0[0],eth1[1]),tcp1(eth2)[0-3,5]".

#include <string>
#include <string_view>
#include <vector>

#include "nid.hpp"

namespace lnet {

/// Where one NI is to be had.
struct interface_spec {
  std::string name;            ///< of a network interface, or an address of this host; empty: the driver chooses
  std::vector<unsigned> cpts;  ///< empty: those of its network
  bool operator==(const interface_spec&) const = default;
};

struct net_spec {
  lnet::net net{};
  std::vector<interface_spec> interfaces;  ///< one NI each; none: one NI of the driver's choice
  std::vector<unsigned> cpts;              ///< empty: all
  bool operator==(const net_spec&) const = default;
};

/// False, and `why` says what is wrong and at which character: an unknown net, one that is named twice, "lo" (it is
/// always there), an interface named twice in a net, brackets that do not match, a range that runs backwards, an empty
/// list. No text at all is no network, and right. Spaces may stand between all parts.
bool parse_networks(std::string_view text, std::vector<net_spec>& out, std::string& why);
/// The CPTs of "0-3,5" or "0-7/2" (every second one), sorted, once each. False as above.
bool parse_cpts(std::string_view text, std::vector<unsigned>& out, std::string& why);
std::string to_string(const net_spec&);               ///< parses to the same again
std::string cpts_text(const std::vector<unsigned>&);  ///< "0-3,5", without brackets

}  // namespace lnet
