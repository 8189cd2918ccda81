// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_interface.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/udp.hpp>
#include <cstring>

namespace kfx::backend {
namespace {

namespace ip = boost::asio::ip;

ip::address plain(ip::address a) {
  if (a.is_v6() && a.to_v6().is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, a.to_v6());
  // A link-local address carries its interface's number, which says nothing new.
  return a.is_v6() ? ip::address(ip::address_v6(a.to_v6().to_bytes())) : a;
}

ip::address address_in(const sockaddr* from) {
  if (from && from->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, from, sizeof in);
    return ip::address_v4(ntohl(in.sin_addr.s_addr));
  }
  if (from && from->sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, from, sizeof in);
    ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return ip::address_v6(bytes);
  }
  return {};
}

}  // namespace

std::string interface_of(const ip::address& local) {
  const ip::address wanted = plain(local);
  ifaddrs* list = nullptr;
  if (wanted.is_unspecified() || ::getifaddrs(&list) != 0) return {};
  std::string name;
  for (const ifaddrs* i = list; i && name.empty(); i = i->ifa_next)
    if (address_in(i->ifa_addr) == wanted) name = i->ifa_name;
  ::freeifaddrs(list);
  return name;
}

std::string interface_towards(const ip::address& remote) {
  // Connecting a datagram socket asks for the route, and for nothing else.
  const ip::udp::endpoint to(remote, 9);
  const int fd = ::socket(to.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  ip::udp::endpoint local;
  socklen_t size = static_cast<socklen_t>(local.capacity());
  const bool known =
      ::connect(fd, to.data(), static_cast<socklen_t>(to.size())) == 0 && ::getsockname(fd, local.data(), &size) == 0;
  ::close(fd);
  if (!known) return {};
  local.resize(size);
  return interface_of(local.address());
}

}  // namespace kfx::backend
