// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "backends/tcp/tcp_address.hpp"
#include "backends/tcp/tcp_interface.hpp"

namespace kfx::backend {
namespace {

/// What a system call's negative answer means.
byte_stream::moved failed() noexcept {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
  return {0, std::error_code(errno, std::generic_category())};
}

::msghdr message(std::span<const ::iovec> pieces) noexcept {
  ::msghdr m{};
  m.msg_iov = const_cast<::iovec*>(pieces.data());
  m.msg_iovlen = pieces.size();
  return m;
}

}  // namespace

std::unique_ptr<tcp_stream> tcp_stream::adopt(int fd) {
  const int on = 1;
  // Frames are gathered into bursts before they get here: waiting for more could only add latency.
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  tcp::endpoint local, remote;
  socklen_t size = static_cast<socklen_t>(local.capacity());
  if (::getsockname(fd, local.data(), &size) == 0) local.resize(size);
  size = static_cast<socklen_t>(remote.capacity());
  if (::getpeername(fd, remote.data(), &size) == 0) remote.resize(size);
  return std::make_unique<tcp_stream>(fd, host_port(local), host_port(remote));
}

byte_stream::moved tcp_stream::send(std::span<const ::iovec> pieces) noexcept {
  const ::msghdr m = message(pieces);
  ::ssize_t n;
  do
    n = pieces.size() == 1 ? ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                           : ::sendmsg(fd_, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0) return failed();
  return {static_cast<std::size_t>(n), {}};
}

byte_stream::moved tcp_stream::recv(std::span<const ::iovec> pieces) noexcept {
  ::msghdr m = message(pieces);
  ::ssize_t n;
  do
    n = pieces.size() == 1 ? ::recv(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_DONTWAIT)
                           : ::recvmsg(fd_, &m, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0) return failed();
  if (n == 0) return {0, std::make_error_code(std::errc::connection_reset)};  // the peer ended it
  return {static_cast<std::size_t>(n), {}};
}

std::string tcp_stream::device() const {
  tcp::endpoint local;
  socklen_t size = static_cast<socklen_t>(local.capacity());
  if (::getsockname(fd_, local.data(), &size) != 0) return {};
  local.resize(size);
  return interface_of(local.address());
}

void tcp_stream::close() noexcept {
  if (fd_ < 0) return;
  // A descriptor inherited by a forked child must not keep the connection up.
  ::shutdown(fd_, SHUT_RDWR);
  ::close(fd_);
  fd_ = -1;
}

}  // namespace kfx::backend
