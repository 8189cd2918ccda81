// SPDX-License-Identifier: BSD-2-Clause
#include "perf_child.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "units.hpp"

namespace tool::perf {
namespace {

using namespace std::chrono_literals;

/// A line of text: the address after '+', or after '-' why there is none.
void say(int fd, const std::string& line) {
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t n = ::write(fd, line.data() + at, line.size() - at);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) at += static_cast<std::size_t>(n);
  }
}

std::string hear(int fd) {
  std::string text;
  char part[512];
  for (ssize_t n; (n = ::read(fd, part, sizeof part)) != 0;) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0) text.append(part, static_cast<std::size_t>(n));
  }
  return text;
}

[[noreturn]] void be_server(const server_options& o, int cpu, int tell, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  try {
    if (cpu >= 0) pin(cpu);
    server s(o);
    say(tell, "+" + s.address());
    ::close(tell);
    tell = -1;
    s.serve();
  } catch (const std::exception& e) {
    if (tell >= 0)
      say(tell, std::string("-") + e.what());
    else
      std::fprintf(stderr, "kfx perf, server: %s\n", e.what());
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace

own_server::own_server(const server_options& o, int cpu) {
  if (o.uri.starts_with("loop:"))
    start_thread(o, cpu);
  else
    start_process(o, cpu);
}

void own_server::start_process(const server_options& o, int cpu) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error(std::string("cannot make a pipe: ") + std::strerror(errno));
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::close(ends[0]);
    be_server(o, cpu, ends[1], parent);
  }
  ::close(ends[1]);
  const std::string said = pid_ > 0 ? hear(ends[0]) : std::string("-cannot fork: ") + std::strerror(errno);
  ::close(ends[0]);
  if (said.starts_with('+')) {
    address_ = said.substr(1);
    return;
  }
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  throw std::runtime_error(said.empty() ? "the server process ended before it could say why" : said.substr(1));
}

void own_server::start_thread(server_options o, int cpu) {
  o.stop = &stop_;
  // Its node's own threads are to be where it is.
  std::exception_ptr failure;
  std::atomic<bool> ready{false};
  thread_ = std::thread([this, o, cpu, &failure, &ready] {
    try {
      if (cpu >= 0) pin(cpu);
      server_ = std::make_unique<server>(o);
      address_ = server_->address();
    } catch (...) {
      failure = std::current_exception();
    }
    ready.store(true);
    ready.notify_one();
    if (!server_) return;
    try {
      server_->serve();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "kfx perf, server: %s\n", e.what());
    }
  });
  ready.wait(false);
  if (address_.empty()) {
    thread_.join();
    std::rethrow_exception(failure);
  }
}

own_server::~own_server() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  if (pid_ <= 0) return;
  const auto end = std::chrono::steady_clock::now() + 3s;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      return;
    }
    std::this_thread::sleep_for(1ms);
  }
}

}  // namespace tool::perf
