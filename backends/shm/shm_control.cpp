// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_control.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace kfx::shm {
namespace {

/// Descriptors that nobody asked for are closed.
bool take_descriptors(const msghdr& m, descriptor& given) noexcept {
  unsigned count = 0;
  for (const cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(const_cast<msghdr*>(&m), const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < n; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      descriptor d(fd);
      if (count++ == 0) given = std::move(d);
    }
  }
  return count <= 1;
}

}  // namespace

bool send_control(int socket, const control& say, int fd) noexcept {
  control copy = say;
  iovec data{&copy, sizeof copy};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr m{};
  m.msg_iov = &data;
  m.msg_iovlen = 1;
  if (fd >= 0) {
    m.msg_control = space.data();
    m.msg_controllen = space.size();
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  return ::sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof copy);
}

arrival receive(int socket, control& heard, descriptor& given) noexcept {
  given.reset();
  iovec data{&heard, sizeof heard};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space;
  msghdr m{};
  m.msg_iov = &data;
  m.msg_iovlen = 1;
  m.msg_control = space.data();
  m.msg_controllen = space.size();
  const ssize_t n = ::recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? arrival::nothing : arrival::ended;
  // Also from a message of no bytes, which looks like the end.
  const bool one = take_descriptors(m, given);
  if (n == 0) return arrival::ended;
  if (n == 1 && !given) return arrival::wake;
  return one && n == static_cast<ssize_t>(sizeof heard) && !(m.msg_flags & MSG_TRUNC) ? arrival::control
                                                                                      : arrival::nonsense;
}

}  // namespace kfx::shm
