// SPDX-License-Identifier: BSD-2-Clause
#include "child.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace bench::crowd {
namespace {

constexpr std::size_t longest_line = 4096;
constexpr double patience = 60;  // seconds for a child to end by itself

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

/// Ends within so many seconds.
bool ends(pid_t pid, double seconds) {
  for (double left = seconds; left > 0; left -= 0.01) {
    const pid_t r = ::waitpid(pid, nullptr, WNOHANG);
    if (r == pid || (r < 0 && errno == ECHILD)) return true;
    ::usleep(10'000);
  }
  return false;
}

}  // namespace

line::~line() { ::close(fd_); }

void line::hang_up() noexcept { ::shutdown(fd_, SHUT_RDWR); }

void line::say(const std::string& text) {
  while (::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) < 0)
    if (errno != EINTR) fail("the other process is gone");
}

bool line::ready(double seconds) const noexcept {
  pollfd p{fd_, POLLIN, 0};
  return ::poll(&p, 1, seconds < 0 ? -1 : static_cast<int>(seconds * 1000)) != 0;
}

std::optional<std::string> line::hear(double seconds) {
  if (!ready(seconds)) throw std::runtime_error("it says nothing for " + std::to_string(seconds) + " s");
  std::string text(longest_line, '\0');
  const ssize_t n = ::recv(fd_, text.data(), text.size(), 0);
  if (n <= 0) return {};
  text.resize(static_cast<std::size_t>(n));
  return text;
}

void answer(line& l, const std::string& command, const std::function<std::string(const std::string&)>& act) {
  std::string said;
  try {
    said = '+' + act(command);
  } catch (const std::exception& e) {
    said = std::string("-") + e.what();
  }
  l.say(said.substr(0, longest_line));
}

void obey(line& l, const std::function<std::string(const std::string&)>& act) {
  while (const auto command = l.hear()) answer(l, *command, act);
}

child::child(std::string name, const std::function<void(line&)>& role) : name_(std::move(name)) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail("cannot make a socket pair");
  std::fflush(stdout);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    ::close(pair[0]);
    int status = 0;
    try {
      line l(pair[1]);
      role(l);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s: %s\n", name_.c_str(), e.what());
      status = 1;
    }
    ::_exit(status);
  }
  ::close(pair[1]);
  line_.emplace(pair[0]);
  if (pid_ < 0) fail("cannot fork");
}

child::~child() {
  if (pid_ < 0) return;
  line_->hang_up();
  if (ends(pid_, patience)) return;
  std::fprintf(stderr, "%s does not end, and is killed\n", name_.c_str());
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string child::answer(double seconds) {
  std::optional<std::string> said;
  try {
    said = line_->hear(seconds);
  } catch (const std::exception& e) {
    throw std::runtime_error(name_ + ": " + e.what());
  }
  if (!said) throw std::runtime_error(name_ + " ended before it answered");
  if (!said->starts_with('+'))
    throw std::runtime_error(name_ + ": " + said->substr(std::min<std::size_t>(1, said->size())));
  return said->substr(1);
}

}  // namespace bench::crowd
