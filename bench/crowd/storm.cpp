// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Very many nodes that connect to one at once, and stay.

#include <unistd.h>

#include <sstream>

#include "figure.hpp"
#include "proc.hpp"
#include "roles.hpp"

namespace bench::crowd {
namespace {

struct counts {
  std::uint64_t messages = 0, ups = 0, downs = 0;
};

counts count(child& hub) {
  counts c;
  std::istringstream(hub.ask("counts")) >> c.messages >> c.ups >> c.downs;
  return c;
}

std::uint64_t missing(std::uint64_t wanted, std::uint64_t seen) {
  return wanted > seen ? wanted - seen : seen - wanted;
}

}  // namespace

std::vector<figure> storm(const settings& s, const std::string& transport) {
  // Each connection is asked several times whether it lives.
  const std::chrono::milliseconds keepalive(static_cast<long>(s.seconds * 1000 / 4) + 1);
  allow_open_files(files_of_hub(s.storm_peers));
  child hub("the node", [&](line& l) { be_hub(l, keepalive, kfx::progress::threads, listen_uri(transport)); });
  const std::string uri = hub.ask("address");
  many crowd(s.storm_peers, s.processes, 1, keepalive);

  const many::greeted connected = crowd.greet(uri);
  const counts then = count(hub);
  figure storm{"storm",
               transport,
               "errors of peers that connect at once",
               static_cast<double>(connected.failed + missing(s.storm_peers, then.messages)),
               0,
               {}};
  storm.more["peers"] = s.storm_peers;
  storm.more["processes"] = s.processes;
  storm.more["seconds"] = connected.seconds;
  storm.more["connections"] = then.ups - then.downs;
  if (!connected.first_failure.empty()) storm.more["first_failure"] = connected.first_failure;

  ::usleep(static_cast<unsigned>(s.seconds * 1e6));
  const many::greeted again = crowd.greet(uri);
  const counts now = count(hub);
  const std::uint64_t lost = now.downs + missing(s.storm_peers, now.ups);
  figure idle{"crowd",
              transport,
              "errors of peers that stay, and connections lost",
              static_cast<double>(again.failed + missing(2 * std::uint64_t{s.storm_peers}, now.messages) + lost),
              0,
              {}};
  idle.more["peers"] = s.storm_peers;
  idle.more["idle_seconds"] = s.seconds;
  idle.more["keepalive_ms"] = keepalive.count();
  idle.more["greeting_seconds"] = again.seconds;
  idle.more["lost"] = lost;
  if (!again.first_failure.empty()) idle.more["first_failure"] = again.first_failure;
  return {storm, idle};
}

}  // namespace bench::crowd
