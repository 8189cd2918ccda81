// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// 8 bytes one way between two nodes that know nobody else, and between two that have a crowd each.

#include <algorithm>
#include <cmath>

#include "figure.hpp"
#include "proc.hpp"
#include "roles.hpp"

namespace bench::crowd {
namespace {

constexpr double most_slower = 1.2;
/// Turns that each pair has in a round; the one that others disturbed least counts.
constexpr int turns = 3;

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

double one_way(child& server, child& client, int pair, double milliseconds) {
  const std::string which = std::to_string(pair);
  server.tell("serve " + which);
  const double ns = std::stod(client.ask("measure " + which + " " + std::to_string(milliseconds / 1000)));
  server.answer();
  return ns;
}

}  // namespace

std::vector<figure> latency(const settings& s, const std::string& transport, kfx::progress mode) {
  allow_open_files(files_of_hub(s.peers));
  const std::string listen = listen_uri(transport);
  child server("the serving process", [&](line& l) { be_end(l, s.cpus[0], mode, listen); });
  child client("the measuring process", [&](line& l) { be_end(l, s.cpus[1], mode, listen); });
  server.answer();
  client.answer();
  for (const char* pair : {"0", "1"})
    client.ask(std::string("join ") + pair + " " + server.ask(std::string("address ") + pair));
  many crowd(s.peers, s.processes, 2, kfx::options().keepalive);
  crowd.must_greet(server.ask("address 1") + " " + client.ask("address 1"));
  std::vector<double> alone, crowded, ratios;
  for (unsigned round = 0; round <= s.rounds; ++round) {
    double ns[2] = {HUGE_VAL, HUGE_VAL};
    for (int i = 0; i < 2 * turns; ++i) {
      const int pair = (i + static_cast<int>(round)) % 2;
      ns[pair] = std::min(ns[pair], one_way(server, client, pair, s.milliseconds / turns));
    }
    if (round == 0) continue;  // warms up
    alone.push_back(ns[0]);
    crowded.push_back(ns[1]);
    ratios.push_back(ns[1] / ns[0]);
  }
  figure f{"latency",      transport,   std::string("8 B one way, crowd / alone, ") + name_of(mode),
           median(ratios), most_slower, {}};
  f.more["peers"] = s.peers;
  f.more["rounds"] = s.rounds;
  f.more["low"] = *std::min_element(ratios.begin(), ratios.end());
  f.more["high"] = *std::max_element(ratios.begin(), ratios.end());
  f.more["alone_ns"] = median(alone);
  f.more["crowd_ns"] = median(crowded);
  return {f};
}

}  // namespace bench::crowd
