// SPDX-License-Identifier: BSD-2-Clause
#include "reference_pair.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace bench::reference {
namespace {

constexpr unsigned patience = 60;  // seconds

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

shared_pages::shared_pages(std::size_t bytes)
    : data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)),
      bytes_(bytes) {
  if (data_ == MAP_FAILED) fail("mmap");
}

shared_pages::~shared_pages() { ::munmap(data_, bytes_); }

void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (::sched_setaffinity(0, sizeof one, &one) != 0) fail("sched_setaffinity");
}

other_side::other_side(const place& p, const std::function<void()>& work) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  ::alarm(patience);
  if (pid_ > 0) {
    pin(p.cpu);
    return;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  try {
    pin(p.other_cpu);
    work();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kfx-reference, other side: %s\n", e.what());
    ::_exit(1);
  }
  ::_exit(0);
}

void other_side::join() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  ::alarm(0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("the other process failed");
}

other_side::~other_side() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::alarm(0);
}

double time_of(const place& p, std::chrono::nanoseconds chunk, const std::function<void(unsigned)>& body) {
  const double wanted = static_cast<double>(chunk.count());
  body(1);  // both sides are there now
  unsigned n = 1;
  for (;;) {  // warms up as well
    const auto begin = clock::now();
    body(n);
    const double took = ns_since(begin);
    if (took >= wanted / 2 || n > 1u << 30) break;
    n = static_cast<unsigned>(std::clamp(wanted / std::max(took, 1.0) * n, 2.0 * n, 64.0 * n));
  }
  std::vector<double> chunks;
  for (const auto begin = clock::now(); ns_since(begin) < p.milliseconds * 1e6 || chunks.empty();) {
    const auto from = clock::now();
    body(n);
    chunks.push_back(ns_since(from) / n);
  }
  const auto middle = chunks.begin() + static_cast<std::ptrdiff_t>(chunks.size() / 2);
  std::nth_element(chunks.begin(), middle, chunks.end());
  return *middle;
}

}  // namespace bench::reference
