// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Bytes over a unix socket with descriptors, whatever the other side makes of them.

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstring>
#include <vector>

namespace kfx::test {

/// At most 8 descriptors. As of `sendmsg`.
inline ssize_t give(int socket, const void* bytes, std::size_t n, const std::vector<int>& descriptors, int flags = 0) {
  iovec data{const_cast<void*>(bytes), n};
  alignas(cmsghdr) char space[CMSG_SPACE(8 * sizeof(int))]{};
  msghdr m{};
  m.msg_iov = &data;
  m.msg_iovlen = 1;
  if (!descriptors.empty()) {
    m.msg_control = space;
    m.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size() * sizeof(int));
  }
  return ::sendmsg(socket, &m, MSG_NOSIGNAL | flags);
}

}  // namespace kfx::test
