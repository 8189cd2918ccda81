// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx info: what this build and this host have.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <kfx/kfx.hpp>
#include <memory>

#include "command.hpp"
#include "json.hpp"
#include "units.hpp"

namespace tool {
namespace {

struct address {
  std::string interface;
  std::string uri;
  bool local;  ///< reachable from this host alone
};

/// Where a node of this host can listen: the network's addresses, and names of this host's own.
std::vector<address> addresses() {
  std::vector<address> list;
  const auto has = [](const char* name) {
    for (const auto& b : kfx::backends())
      if (b.name == name) return b.available;
    return false;
  };
  ifaddrs* all = nullptr;
  if (has("tcp") && ::getifaddrs(&all) == 0) {
    for (const ifaddrs* i = all; i; i = i->ifa_next) {
      if (!i->ifa_addr || !(i->ifa_flags & IFF_UP)) continue;
      char text[INET6_ADDRSTRLEN] = {};
      const bool local = i->ifa_flags & IFF_LOOPBACK;
      if (i->ifa_addr->sa_family == AF_INET) {
        const auto* a = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
        ::inet_ntop(AF_INET, &a->sin_addr, text, sizeof text);
        list.push_back({i->ifa_name, fmt::format("kfx://{}:0", text), local});
      } else if (i->ifa_addr->sa_family == AF_INET6) {
        const auto* a = reinterpret_cast<const sockaddr_in6*>(i->ifa_addr);
        if (IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr)) continue;  // they mean something with an interface only
        ::inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof text);
        list.push_back({i->ifa_name, fmt::format("kfx://[{}]:0", text), local});
      }
    }
    ::freeifaddrs(all);
  }
  if (has("shm")) list.push_back({"memory", "shm://*", true});
  if (has("loop")) list.push_back({"process", "loop://name", true});
  return list;
}

json::object limits() {
  const kfx::options o;
  return {{"fragments", kfx::limits::fragments},
          {"header", kfx::limits::header},
          {"name", kfx::limits::name},
          {"frame", kfx::limits::frame},
          {"eager", o.eager},
          {"slice", o.slice},
          {"credits", o.credits},
          {"max_ops", o.max_ops},
          {"limit_ms", o.limit.count()}};
}

void print_json(const kfx::node& n) {
  json::array backends, listen;
  for (const auto& b : kfx::backends()) {
    json::object one{{"name", b.name}, {"available", b.available}};
    if (!b.available) one["why"] = b.why;
    backends.push_back(std::move(one));
  }
  for (const address& a : addresses())
    listen.push_back(json::object{{"interface", a.interface}, {"uri", a.uri}, {"this_host_only", a.local}});
  json::object all{{"version", kfx::version()},
                   {"backends", std::move(backends)},
                   {"listen", std::move(listen)},
                   {"node", n.explain()},
                   {"limits", limits()}};
  print(all);
}

void print_text(const kfx::node& n) {
  fmt::print("kfx {}\n\nbackends, best first\n", kfx::version());
  for (const auto& b : kfx::backends())
    fmt::print("  {:<8}{}\n", b.name, b.available ? "available" : "missing: " + b.why);
  fmt::print("\na node here can listen at (port 0: any that is free)\n");
  for (const address& a : addresses())
    fmt::print("  {:<40}{}{}\n", a.uri, a.interface, a.local ? ", this host only" : "");
  fmt::print("\na node made now\n");
  const std::string text = n.explain();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    // Its addresses and backends stand above.
    if (line.starts_with("partition") || line.starts_with("node")) fmt::print("  {}\n", line);
    at = end + 1;
  }
  const kfx::options o;
  fmt::print("\nlimits\n  {} fragments in a buffer sequence, header of a message {}, name {}, frame {}\n",
             kfx::limits::fragments, size_text(kfx::limits::header), size_text(kfx::limits::name),
             size_text(kfx::limits::frame));
  fmt::print("  unless set otherwise: payload that travels with its message {}, slice {}, {} credits a peer, {} ops\n",
             size_text(o.eager), size_text(o.slice), o.credits, o.max_ops);
}

}  // namespace

void add_info(CLI::App& app, int& status) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App& c = *app.add_subcommand("info", "version, backends, addresses, partitions and limits of this host");
  c.add_flag("--json", *as_json, "one JSON object");
  c.callback([as_json, &status] {
    const kfx::node n;
    *as_json ? print_json(n) : print_text(n);
    status = 0;
  });
}

}  // namespace tool
