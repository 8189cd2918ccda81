// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What a connected peer that does nothing costs a node.
///
/// Counted are the anonymous memory of the node's process, and every page of the rings and of the words in front of
/// them that either side ever touched, as if all were this node's. Sockets are the kernel's and not counted, nor are
/// page tables, which are told. What the first peer costs is not in it: it is there before the count begins.

#include <unistd.h>

#include "figure.hpp"
#include "proc.hpp"
#include "roles.hpp"

namespace bench::crowd {
namespace {

struct state {
  memory_use own;
  std::uint64_t shared;
};

state look(child& hub) {
  ::usleep(500'000);  // buffers that are borrowed while there is something in them are given back
  return {memory_of(hub.pid()), std::stoull(hub.ask("shared"))};
}

figure compare(const std::string& transport, const std::string& what, unsigned peers, const state& before,
               const state& after, std::optional<double> at_most) {
  const auto each = [&](std::uint64_t from, std::uint64_t to) {
    return (static_cast<double>(to) - static_cast<double>(from)) / 1024 / peers;
  };
  const double own = each(before.own.anonymous, after.own.anonymous), shared = each(before.shared, after.shared);
  figure f{"memory", transport, what, own + shared, at_most, {}};
  f.more["peers"] = peers;
  f.more["private_kib"] = own;
  f.more["shared_kib"] = shared;
  f.more["page_tables_kib"] = each(before.own.page_tables, after.own.page_tables);
  f.more["pss_kib"] = each(before.own.proportional, after.own.proportional);
  return f;
}

}  // namespace

std::vector<figure> memory(const settings& s, const std::string& transport) {
  constexpr std::size_t much = 512 * 1024;
  allow_open_files(files_of_hub(s.peers + 1));
  const double at_most = transport == "shm" ? 64 : 16;
  const auto keepalive = kfx::options().keepalive;
  child hub("the node", [&](line& l) { be_hub(l, keepalive, kfx::progress::threads, listen_uri(transport)); });
  const std::string uri = hub.ask("address");
  many first(1, 1, 1, keepalive);
  first.must_greet(uri, much);
  many crowd(s.peers, s.processes, 1, keepalive);
  const state before = look(hub);
  crowd.must_greet(uri);
  const state fresh = look(hub);
  crowd.must_visit(uri, much);
  const state used = look(hub);
  crowd.must_greet(uri, much);
  const state at_once = look(hub);
  return {compare(transport, "KiB a peer that sent a message", s.peers, before, fresh, at_most),
          compare(transport, "KiB a peer that moved 512 KiB each way", s.peers, before, used, at_most),
          compare(transport, "KiB a peer when all did so at once", s.peers, before, at_once, {})};
}

}  // namespace bench::crowd
