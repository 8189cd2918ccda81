// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Peers whose memory the kernel does not give: in another pid namespace, behind a seccomp filter. They fall back, and
/// the link says why. Status 77 where this host lets nobody make such a peer.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "catch_run.hpp"
#include "links/other_process.hpp"

using namespace kfx;
using namespace kfx::test;

namespace {

/// Goes on as the first process of a pid namespace of its own; the one that was forked waits for it.
bool in_another_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) return false;
  const pid_t inside = ::fork();
  if (inside == 0) return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  ::waitpid(inside, nullptr, 0);
  ::_exit(0);
}

/// As containers do: the call is refused.
bool behind_a_filter() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog all{sizeof program / sizeof *program, program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0;
}

/// Tells how it describes the link, and gets from whatever key it is told of.
void describe(backend::link& link) {
  side self(link);
  rng r(4);
  const std::string text = link.describe();
  frame f = random_frame(r, text.size());
  std::memcpy(f.body.data(), text.data(), text.size());
  while (!self.error && !self.build(f)) self.turn();
  backend::direct_key key = 0;
  bytes got(8);
  const mutable_buffer into(got);
  while (!self.error) {
    self.turn();
    if (self.seen.frames.empty()) continue;
    std::memcpy(&key, self.seen.frames.front().body.data(), sizeof key);
    self.seen.frames.clear();
    self.direct().get(key, 0, std::span(&into, 1), 1);
    frame back = random_frame(r, 8);
    back.body = got;
    while (!self.error && !self.build(back)) self.turn();
  }
}

std::string said(side& self) {
  REQUIRE(turn_until(self, [&] { return !self.seen.frames.empty(); }));
  const bytes b = self.seen.frames.front().body;
  self.seen.frames.clear();
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

/// What the kernel does not give is moved through the ring, and what both map is mapped all the same.
void falls_back(const std::string& query, const std::function<bool()>& before, const std::string& reason) {
  other_process peer(query, describe, before);
  REQUIRE(peer.link());
  side self(*peer.link());
  CHECK_THAT(said(self), Catch::Contains("not through the kernel: ") && Catch::Contains(reason));
  pages ordinary(8192), allocated(8192, true);
  const mutable_buffer memory = ordinary.all(), buffer = allocated.all();
  CHECK(self.link.direct()->share(std::span(&memory, 1), kfx::access::read, backend::sharing::lasting).error() ==
        errc::not_supported);
  if (query == "bulk=cross") return;
  std::memcpy(buffer.data(), "mapped!", 8);
  const auto key = self.link.direct()->share(std::span(&buffer, 1), kfx::access::read, backend::sharing::lasting);
  REQUIRE(key.has_value());
  rng r(5);
  frame f = random_frame(r, 4);
  std::memcpy(f.body.data(), &*key, 4);
  REQUIRE(turn_until(self, [&] { return self.build(f); }));
  CHECK(said(self) == std::string("mapped!\0", 8));
}

}  // namespace

TEST_CASE("a peer in another pid namespace") {
  falls_back("bulk=cross", in_another_namespace, "pid namespace");
  falls_back("", in_another_namespace, "pid namespace");
}

TEST_CASE("a peer that may not look into other processes") {
  falls_back("bulk=cross", behind_a_filter, "Operation not permitted");
  falls_back("", behind_a_filter, "seccomp");
}

int main(int argc, char** argv) {
  const pid_t probe = ::fork();
  if (probe == 0) ::_exit(::unshare(CLONE_NEWPID) == 0 && behind_a_filter() ? 0 : 1);
  int status = 0;
  if (probe < 0 || ::waitpid(probe, &status, 0) != probe || status != 0) {
    std::printf("needs the right to make pid namespaces (CAP_SYS_ADMIN) and seccomp filters\n");
    return 77;
  }
  return kfx::test::run_catch(argc, argv, [](std::vector<std::string>&) {});
}
