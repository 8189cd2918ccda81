// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// A node in words.

#include "node/node_state.hpp"

namespace kfx::detail {
namespace {

constexpr std::size_t most_peers = 8;  // of a partition, by name

std::string count(std::size_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

std::string describe(engine::partition& p, progress how) {
  const numa::place& at = p.place();
  std::string text = "partition " + std::to_string(p.number()) + ": CPUs " + numa::to_string(at.cpus);
  text += at.node >= 0 ? ", NUMA node " + std::to_string(at.node) : ", no one NUMA node";
  if (how == progress::caller)
    text += ", driven by its caller";
  else
    text += ", " + count(p.threads(), "thread") + (at.pinned ? " pinned to them" : " not pinned");
  p.with_baton([&] {
    const auto& peers = p.sessions();
    text += ", " + count(peers.size(), "peer");
    for (std::size_t i = 0; i < peers.size() && i < most_peers; ++i)
      text += (i == 0 ? ": " : ", ") + peers[i]->uri + (peers[i]->linked() ? "" : " (not connected)");
    if (peers.size() > most_peers) text += ", ...";
  });
  return text;
}

}  // namespace

std::string node_state::explain() const {
  std::string text = "node " + ctx_.node_id + (options_.name.empty() ? "" : " (" + options_.name + ")") + "\n";
  const auto listens = addresses();
  for (const std::string& a : listens) text += "listens on " + a + "\n";
  if (listens.empty()) text += "does not listen\n";
  text += "placement " + plan_.why + "\n";
  for (const auto& p : partitions_) text += describe(*p, options_.progress) + "\n";
  for (backend::backend* b : backend::all_backends()) {
    std::string why;
    text += "backend " + std::string(b->name()) + ": " + (b->available(&why) ? "available" : why) + "\n";
  }
  return text;
}

}  // namespace kfx::detail
