// SPDX-License-Identifier: BSD-2-Clause
#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <stdexcept>

extern char** environ;

namespace kfx::test {
namespace {

/// Beside the executable that runs.
std::string peer_program() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) throw std::runtime_error("cannot find this program's own path in /proc/self/exe");
  const std::string self(path, static_cast<std::size_t>(n));
  return self.substr(0, self.rfind('/')) + "/conformance-peer";
}

/// One line within half a minute, or what came of it.
std::string read_line(int fd) {
  std::string line;
  for (;;) {
    pollfd p{fd, POLLIN, 0};
    char c = 0;
    if (::poll(&p, 1, 30000) != 1 || ::read(fd, &c, 1) != 1) return line;
    if (c == '\n') return line;
    line += c;
  }
}

}  // namespace

shared_counts::shared_counts() {
  fd_ = ::memfd_create("kfx-test-counts", MFD_CLOEXEC);
  if (fd_ < 0 || ::ftruncate(fd_, size * sizeof *counts_) != 0) throw std::runtime_error("cannot make shared memory");
  void* p = ::mmap(nullptr, size * sizeof *counts_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (p == MAP_FAILED) throw std::runtime_error("cannot map shared memory");
  counts_ = static_cast<std::uint32_t*>(p);
}
shared_counts::~shared_counts() {
  if (counts_) ::munmap(counts_, size * sizeof *counts_);
  if (fd_ >= 0) ::close(fd_);
}

child::child(const std::vector<std::string>& arguments, const shared_counts& counts) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("cannot make pipes");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  // The child finds the counters there; dup2 onto itself clears close-on-exec.
  posix_spawn_file_actions_adddup2(&actions, counts.fd(), 3);
  std::string program = peer_program();
  std::vector<std::string> texts = arguments;
  std::vector<char*> argv{program.data()};
  for (std::string& t : texts) argv.push_back(t.data());
  argv.push_back(nullptr);
  const int failed = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  out_ = out[0];
  if (failed) {
    pid_ = -1;
    throw std::runtime_error("cannot start " + program);
  }
  says_ = read_line(out_);
}

child::~child() {
  kill();
  ::close(in_);
  ::close(out_);
}

void child::stop() {
  ::kill(pid_, SIGSTOP);
  int status = 0;
  while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
  }
  if (!WIFSTOPPED(status)) {
    pid_ = -1;
    throw std::runtime_error("the peer's process ended before it could be stopped");
  }
}

void child::go_on() { ::kill(pid_, SIGCONT); }

void child::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace kfx::test
