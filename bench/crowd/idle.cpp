// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How often a node wakes up that has nothing to do: voluntary context switches of all its threads, read from outside.
/// Keepalive is an hour, so that there is none; with the library's own one, the figure is told without a bound.

#include <unistd.h>

#include <set>

#include "figure.hpp"
#include "proc.hpp"
#include "roles.hpp"

namespace bench::crowd {
namespace {

/// Times that a look is made again when the system itself woke everybody (it freezes a virtual machine for a copy of
/// it, say).
constexpr unsigned most_looks = 5;

std::uint64_t woken(pid_t pid, const wakeups& before, boost::json::object& threads) {
  std::uint64_t n = 0;
  for (const auto& [name, now] : wakeups_of(pid)) {
    const auto then = before.find(name);
    const std::uint64_t here = now - (then == before.end() ? 0 : then->second);
    n += here;
    if (here != 0) threads[name] = here;
  }
  return n;
}

figure look(const settings& s, const std::string& transport, kfx::progress mode, unsigned peers, bool keepalive) {
  using namespace std::chrono;
  const milliseconds probes = keepalive ? kfx::options().keepalive : hours(1);
  child hub("the node", [&](line& l) { be_hub(l, probes, mode, listen_uri(transport)); });
  // What wakes this one is not kfx.
  child bystander("the bystander", [](line& l) { obey(l, [](const std::string& said) { return said; }); });
  const std::string uri = hub.ask("address");
  many crowd(peers, s.processes, 1, probes);
  crowd.must_greet(uri);
  ::sleep(1);  // what connecting began comes to an end
  std::uint64_t n = 0;
  boost::json::object threads, others;
  unsigned looks = 0;
  do {
    threads.clear();
    others.clear();
    const wakeups before = wakeups_of(hub.pid()), before_others = wakeups_of(bystander.pid());
    ::usleep(static_cast<unsigned>(s.seconds * 1e6));
    n = woken(hub.pid(), before, threads);
    if (woken(bystander.pid(), before_others, others) == 0) break;
  } while (++looks < most_looks);
  std::string what = "wake-ups a second, " + std::to_string(peers) + (peers == 1 ? " peer, " : " peers, ");
  what += name_of(mode) + std::string(keepalive ? ", with keepalive" : "");
  figure f{"idle", transport, what, static_cast<double>(n) / s.seconds, {}, {}};
  if (!keepalive) f.at_most = 0;
  f.more["peers"] = peers;
  f.more["wakeups"] = n;
  f.more["threads"] = std::move(threads);
  f.more["seconds"] = s.seconds;
  f.more["keepalive_ms"] = probes.count();
  f.more["disturbed"] = looks;
  return f;
}

}  // namespace

std::vector<figure> idle(const settings& s, const std::string& transport, kfx::progress mode) {
  allow_open_files(files_of_hub(s.peers));
  std::vector<figure> all;
  for (const unsigned peers : std::set<unsigned>{1, s.peers})
    for (const bool keepalive : {false, true}) all.push_back(look(s, transport, mode, peers, keepalive));
  return all;
}

}  // namespace bench::crowd
