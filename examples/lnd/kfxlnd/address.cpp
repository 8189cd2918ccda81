// SPDX-License-Identifier: BSD-2-Clause
#include "address.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <memory>

namespace kfxlnd {

std::optional<std::uint32_t> address_of(const std::string& interface) {
  in_addr written{};
  if (::inet_pton(AF_INET, interface.c_str(), &written) == 1) return ntohl(written.s_addr);
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(list, ::freeifaddrs);
  for (const ifaddrs* i = list; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP)) continue;
    if (interface.empty() ? (i->ifa_flags & IFF_LOOPBACK) != 0 : interface != i->ifa_name) continue;
    return ntohl(reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr.s_addr);
  }
  return std::nullopt;
}

std::string uri_of(std::string_view pattern, lnet::nid n) {
  std::string uri;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view two = pattern.substr(i, 2);
    if (two == "%a" || two == "%n") {
      uri += two == "%a" ? lnet::address_text(n) : lnet::to_string(n.net);
      ++i;
    } else {
      uri += pattern[i];
    }
  }
  return uri;
}

}  // namespace kfxlnd
