// SPDX-License-Identifier: BSD-2-Clause
#include "control_client.hpp"

#include <sys/time.h>

#include <cerrno>
#include <charconv>
#include <system_error>

namespace lnet {
namespace {

constexpr std::size_t longest_answer = std::size_t{64} << 20;

/// The whole answer, if this is one: YAML, then the end mark with the status.
bool complete(std::string_view text, answer& a) {
  if (!text.ends_with('\n')) return false;
  text.remove_suffix(1);
  const std::size_t start = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
  std::string_view last = text.substr(start);
  if (!last.starts_with(end_mark)) return false;
  last.remove_prefix(end_mark.size());
  const auto [behind, error] = std::from_chars(last.data(), last.data() + last.size(), a.status);
  if (error != std::errc() || behind != last.data() + last.size() || a.status > 0) return false;
  a.yaml = text.substr(0, start);
  return true;
}

}  // namespace

control_client::control_client(const std::string& path, std::chrono::seconds patience) : path_(path) {
  sockaddr_un address{};
  if (!unix_address(path, address)) fail(ENAMETOOLONG, "that is no path of a socket");
  fd_ = descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd_) fail(errno, "cannot make a socket");
  const timeval limit{static_cast<time_t>(patience.count()), 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail(errno, "no LNet can be reached there");
}

answer control_client::ask(const std::string& line) {
  std::string text = line + "\n";
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n > 0)
      sent += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      fail(errno, "cannot ask");
  }
  text.clear();
  answer a;
  while (!complete(text, a)) {
    char chunk[4096];
    const ssize_t n = ::recv(fd_.get(), chunk, sizeof chunk, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno == EAGAIN ? ETIMEDOUT : errno, "no answer");
    if (n == 0) fail(ECONNRESET, text.empty() ? "it closed without an answer" : "it closed within its answer");
    text.append(chunk, static_cast<std::size_t>(n));
    if (text.size() > longest_answer) fail(EMSGSIZE, "the answer has no end");
  }
  return a;
}

void control_client::fail(int error, const std::string& what) const {
  throw std::system_error(error, std::generic_category(), "control socket " + path_ + ": " + what);
}

}  // namespace lnet
