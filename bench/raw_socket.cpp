// SPDX-License-Identifier: BSD-2-Clause
#include "raw_socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <vector>

namespace bench::raw {
namespace {

using clock = std::chrono::steady_clock;

/// A stream goes through as much memory as kfx does at this depth, so that caches help both alike.
constexpr unsigned buffers_a_stream = 8;

double since(clock::time_point t) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now() - t).count());
}

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void send_all(int fd, const char* p, std::size_t n) {
  while (n > 0) {
    const ssize_t k = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (k < 0 && errno != EAGAIN && errno != EINTR) fail("send");
    if (k <= 0) continue;
    p += k;
    n -= static_cast<std::size_t>(k);
  }
}

void recv_all(int fd, char* p, std::size_t n) {
  while (n > 0) {
    const ssize_t k = recv(fd, p, n, MSG_DONTWAIT);
    if (k == 0) throw std::runtime_error("the other side closed the reference socket");
    if (k < 0 && errno != EAGAIN && errno != EINTR) fail("recv");
    if (k <= 0) continue;
    p += k;
    n -= static_cast<std::size_t>(k);
  }
}

void send_gathered(int fd, std::vector<iovec> pieces) {
  std::size_t first = 0;
  while (first < pieces.size()) {
    msghdr m{};
    m.msg_iov = pieces.data() + first;
    m.msg_iovlen = pieces.size() - first;
    ssize_t k = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (k < 0 && errno != EAGAIN && errno != EINTR) fail("sendmsg");
    for (; k > 0 && first < pieces.size();) {
      const auto take = std::min<std::size_t>(static_cast<std::size_t>(k), pieces[first].iov_len);
      pieces[first].iov_base = static_cast<char*>(pieces[first].iov_base) + take;
      pieces[first].iov_len -= take;
      k -= static_cast<ssize_t>(take);
      if (pieces[first].iov_len == 0) ++first;
    }
  }
}

}  // namespace

void connect_pair(int (&ends)[2]) {
  const int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n = sizeof a;
  if (l < 0 || bind(l, reinterpret_cast<sockaddr*>(&a), n) || listen(l, 1) ||
      getsockname(l, reinterpret_cast<sockaddr*>(&a), &n))
    fail("listen");
  ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(ends[0], reinterpret_cast<sockaddr*>(&a), n)) fail("connect");
  ends[1] = accept4(l, nullptr, nullptr, SOCK_CLOEXEC);
  close(l);
  for (int fd : ends) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
}

double round_trips(int fd, std::size_t bytes, std::size_t back, unsigned n) {
  std::vector<char> out(bytes), in(back);
  const auto t = clock::now();
  for (unsigned i = 0; i < n; ++i) {
    send_all(fd, out.data(), bytes);
    recv_all(fd, in.data(), back);
  }
  return since(t) / n;
}

void answer_round_trips(int fd, std::size_t bytes, std::size_t back, unsigned n) {
  std::vector<char> in(bytes), out(back);
  for (unsigned i = 0; i < n; ++i) {
    recv_all(fd, in.data(), bytes);
    send_all(fd, out.data(), back);
  }
}

double stream_out(int fd, std::size_t bytes, unsigned n) {
  std::vector<char> out(bytes * buffers_a_stream);
  char answer[8];
  const auto t = clock::now();
  for (unsigned i = 0; i < n; ++i) send_all(fd, out.data() + i % buffers_a_stream * bytes, bytes);
  recv_all(fd, answer, sizeof answer);
  return static_cast<double>(bytes) * n / since(t);
}

void take_stream(int fd, std::size_t bytes, unsigned n) {
  std::vector<char> in(bytes * buffers_a_stream);
  char answer[8] = {};
  for (unsigned i = 0; i < n; ++i) recv_all(fd, in.data() + i % buffers_a_stream * bytes, bytes);
  send_all(fd, answer, sizeof answer);
}

double stream_in(int fd, std::size_t bytes, unsigned n) {
  std::vector<char> in(bytes * buffers_a_stream);
  char start[8] = {};
  const auto t = clock::now();
  send_all(fd, start, sizeof start);
  for (unsigned i = 0; i < n; ++i) recv_all(fd, in.data() + i % buffers_a_stream * bytes, bytes);
  return static_cast<double>(bytes) * n / since(t);
}

void give_stream(int fd, std::size_t bytes, unsigned n) {
  std::vector<char> out(bytes * buffers_a_stream);
  char start[8];
  recv_all(fd, start, sizeof start);
  for (unsigned i = 0; i < n; ++i) send_all(fd, out.data() + i % buffers_a_stream * bytes, bytes);
}

double gather(int fd, std::size_t bytes, unsigned depth, unsigned n) {
  const unsigned burst = depth / 2;
  std::vector<std::vector<char>> buffers(depth, std::vector<char>(bytes));
  char answer[8];
  unsigned unanswered = 0;
  const auto t = clock::now();
  for (unsigned i = 0; i < n / burst; ++i) {
    std::vector<iovec> pieces;
    for (unsigned k = 0; k < burst; ++k) pieces.push_back({buffers[(i % 2) * burst + k].data(), bytes});
    send_gathered(fd, std::move(pieces));
    if (++unanswered == 2) {
      recv_all(fd, answer, sizeof answer);
      --unanswered;
    }
  }
  for (; unanswered > 0; --unanswered) recv_all(fd, answer, sizeof answer);
  return static_cast<double>(bytes) * (n / burst * burst) / since(t);
}

void take_gathered(int fd, std::size_t bytes, unsigned depth, unsigned n) {
  const unsigned burst = depth / 2;
  std::vector<char> in(bytes * burst);
  char answer[8] = {};
  for (unsigned i = 0; i < n / burst; ++i) {
    recv_all(fd, in.data(), in.size());
    send_all(fd, answer, sizeof answer);
  }
}

}  // namespace bench::raw
