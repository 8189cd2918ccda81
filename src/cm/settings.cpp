// SPDX-License-Identifier: BSD-2-Clause
#include "cm/settings.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/knobs.hpp"

namespace kfx::cm {
namespace {

/// Schemes whose backends take no parameters of their own: what is no knob in their query is a mistake.
bool takes_no_parameters(const std::string& scheme) { return scheme == "kfx" || scheme == "tcp"; }

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return {};
  return name;
}

std::string text_of(const sockaddr* a) {
  char text[INET6_ADDRSTRLEN] = {};
  const void* bytes = nullptr;
  if (a->sa_family == AF_INET) bytes = &reinterpret_cast<const sockaddr_in*>(a)->sin_addr;
  if (a->sa_family == AF_INET6) {
    const in6_addr& six = reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr;
    // Of use only together with the name of one's own interface.
    if (IN6_IS_ADDR_LINKLOCAL(&six)) return {};
    bytes = &six;
  }
  if (!bytes || !::inet_ntop(a->sa_family, bytes, text, sizeof text)) return {};
  return text;
}

/// Addresses of this host, IPv4 first; those of the loopback interface only when there are no others.
std::vector<std::string> own_addresses(bool six) {
  std::vector<std::string> outside, inside;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(all, ::freeifaddrs);
  for (int family : {AF_INET, AF_INET6}) {
    if (family == AF_INET6 && !six) continue;
    for (const ifaddrs* i = all; i; i = i->ifa_next) {
      if (!i->ifa_addr || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP)) continue;
      std::string text = text_of(i->ifa_addr);
      if (!text.empty()) ((i->ifa_flags & IFF_LOOPBACK) ? inside : outside).push_back(std::move(text));
    }
  }
  return outside.empty() ? inside : outside;
}

}  // namespace

engine::session_settings settings_of(const options& o) {
  engine::session_settings s;
  s.limit = o.limit;
  s.keepalive = o.keepalive;
  s.idle = o.idle;
  s.retention = o.retention;
  s.backoff = o.backoff;
  s.eager = o.eager;
  s.slice = o.slice;
  s.direct = o.direct;
  return s;
}

backend::backend& need_backend(const std::string& name, const std::string& text) {
  std::string why;
  backend::backend* b = backend::find_backend(name);
  if (b && b->available(&why)) return *b;
  if (b)
    throw error(errc::no_backend, "\"" + text + "\" needs the backend " + name + ", which cannot work here: " + why);
  std::string known;
  for (backend::backend* other : backend::all_backends())
    known += (known.empty() ? "" : ", ") + std::string(other->name());
  throw error(errc::no_backend, "\"" + text + "\" needs a backend \"" + name +
                                    "\", and there is none; this process has " + known +
                                    " (KFX_BACKENDS loads others)");
}

named_target read_target(std::string_view text, const options& defaults) {
  std::string why;
  auto u = backend::uri::parse(text, &why);
  if (!u) throw error(u.error(), why);
  options o = defaults;
  for (const auto& [key, value] : u->query) {
    const auto known = base::knob_names();
    const bool knob = std::find(known.begin(), known.end(), key) != known.end();
    if (!knob && !takes_no_parameters(u->scheme)) continue;  // for the backend
    if (knob && !base::is_uri_knob(key))
      throw error(errc::bad_option, "\"" + std::string(text) + "\": the option " + key +
                                        " is a node's and cannot be set for one peer; set it in kfx::options");
    if (auto e = o.set(key, value, &why)) throw error(e, "\"" + std::string(text) + "\": " + why);
  }
  named_target t{*std::move(u), settings_of(o), {}};
  if (t.uri.scheme == "kfx") {
    t.require = o.require;
    if (!t.require.empty()) need_backend(t.require, std::string(text));
    need_backend("tcp", std::string(text));
  } else {
    need_backend(t.uri.scheme, std::string(text));
  }
  return t;
}

std::string stable_name(const options& o, const std::vector<std::string>& addresses) {
  if (!o.name.empty()) return o.name;
  if (addresses.empty()) return {};
  // Addresses alone would make two hosts that both listen at 127.0.0.1:7400 the same peer.
  return (host_name() + " " + place_of(addresses.front())).substr(0, 255);
}

std::string place_of(const backend::uri& u) {
  backend::uri bare = u;
  bare.query.clear();
  return bare.to_string();
}

std::string place_of(const std::string& uri) {
  auto u = backend::uri::parse(uri);
  return u ? place_of(*u) : std::string();
}

bool local_only(const backend::uri& u) {
  return u.host == "localhost" || u.host == "::1" || u.host.starts_with("127.");
}

std::vector<std::string> dialable(const std::string& listener_address) {
  auto u = backend::uri::parse(listener_address);
  if (!u || (u->host != "0.0.0.0" && u->host != "::" && u->host != "*")) return {listener_address};
  std::vector<std::string> list;
  for (std::string& host : own_addresses(u->host != "0.0.0.0")) {
    if (list.size() == 8) break;
    u->host = std::move(host);
    list.push_back(u->to_string());
  }
  if (list.empty()) list.push_back(listener_address);
  return list;
}

}  // namespace kfx::cm
