// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Does what a request asks, and answers in the shape of lnetctl.

#include "management.hpp"
#include "request.hpp"
#include "yaml.hpp"

namespace lnet {

/// Never throws but for want of memory.
///
///     net show [--net N] [--verbose]                       stats show
///     net add --net N [--if I[cpts],...] [--cpt C]         stats reset
///     net del --net N                                      ping NID... [--timeout MS]
///     peer show [--nid N] [--verbose]                      set health --nid N --health V
///     peer add --prim_nid N [--nid N,...]                  conn show --net N
///     peer del --prim_nid N                                conn close --net N --nid N
///     export
answer execute(management&, std::string_view line);

// How things are shown.
void show_nets(yaml& under, const std::vector<ni_info>&, bool verbose);
void show_peers(yaml& under, const std::vector<peer_info>&, bool verbose);
void show_stats(yaml& under, const counters&);
/// What `import` reads: what somebody set up, not how it fares. The loopback NI is always there, and left out.
void show_setup(yaml& document, const std::vector<ni_info>&, const std::vector<peer_info>&);

}  // namespace lnet
