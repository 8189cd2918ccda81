// SPDX-License-Identifier: BSD-2-Clause
#include "line_source.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace lnet::selftest {

std::optional<std::string> line_source::next() {
  for (;;) {
    const auto end = pending_.find('\n');
    if (end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    if (end_) {
      if (pending_.empty()) return std::nullopt;
      return std::exchange(pending_, {});
    }
    if (!read_more()) return std::nullopt;
  }
}

bool line_source::read_more() {
  pollfd wanted{.fd = descriptor_, .events = POLLIN, .revents = 0};
  for (;;) {
    const int ready = ::poll(&wanted, 1, 200);
    if (cancelled_()) return false;
    if (ready > 0) break;
    if (ready < 0 && errno != EINTR) return false;
  }
  std::array<char, 4096> bytes;
  const ssize_t n = ::read(descriptor_, bytes.data(), bytes.size());
  if (n > 0) pending_.append(bytes.data(), static_cast<std::size_t>(n));
  if (n == 0 || (n < 0 && errno != EINTR)) end_ = true;
  return true;
}

}  // namespace lnet::selftest
