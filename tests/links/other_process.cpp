// SPDX-License-Identifier: BSD-2-Clause
#include "links/other_process.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>

#include "wire/make_link.hpp"

namespace kfx::test {
namespace {

constexpr std::chrono::seconds bound(30);

pid_t wait_for(pid_t pid, int options, int& status) {
  pid_t r;
  while ((r = ::waitpid(pid, &status, options)) < 0 && errno == EINTR) {
  }
  return r;
}

void say_hello(backend::link& link) {
  rng r(0);
  side self(link);
  const frame f = random_frame(r, 8);
  while (!self.error && !self.build(f)) self.turn();
  self.turn();
}

bool heard(backend::link& link) {
  side self(link);
  // This frame only: what follows is the test's.
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (self.seen.frames.empty() && !self.error && std::chrono::steady_clock::now() < deadline) self.turn(1);
  return !self.seen.frames.empty();
}

}  // namespace

std::size_t rounds(std::size_t normal) {
  const char* set = std::getenv("KFX_TEST_ROUNDS");
  return set ? std::strtoull(set, nullptr, 10) : normal;
}

other_process::other_process(const std::string& query, std::function<void(backend::link&)> part,
                             const std::function<bool()>& before)
    : context_{io_, std::string(32, 'b'), "host", "process", options_} {
  listen();
  io_.notify_fork(boost::asio::io_context::fork_prepare);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    io_.notify_fork(boost::asio::io_context::fork_child);
    if (!before || before()) connect(query, part);
    ::_exit(0);
  }
  io_.notify_fork(boost::asio::io_context::fork_parent);
  pid_ = child;
  const auto deadline = std::chrono::steady_clock::now() + bound;
  int status = 0;
  while (!link_ && std::chrono::steady_clock::now() < deadline && wait_for(pid_, WNOHANG, status) == 0)
    io_.run_one_for(std::chrono::milliseconds(10));
  // Its end is complete as well once it has said something.
  if (!link_ || !heard(*link_)) kill();
}

other_process::~other_process() { kill(); }

void other_process::listen() {
  std::string why;
  auto made =
      backend::find_backend("shm")->listen(context_, *backend::uri::parse("shm://*", &why),
                                           [this](backend::channel c) { link_ = wire::make_link(std::move(c)); });
  if (auto* failed = std::get_if<backend::failure>(&made)) FAIL(failed->why);
  listener_ = std::move(std::get<std::unique_ptr<backend::listener>>(made));
}

/// In the child: nothing of the parent's is destroyed here, nor are its assertions made.
void other_process::connect(const std::string& query, const std::function<void(backend::link&)>& part) {
  std::string why;
  const std::string address = listener_->address() + (query.empty() ? "" : "?" + query);
  boost::asio::io_context io;
  backend::context own{io, std::string(32, 'c'), "host", "other", options_};
  std::unique_ptr<backend::link> link;
  bool ended = false;
  backend::find_backend("shm")->connect(own, *backend::uri::parse(address, &why),
                                        [&](std::variant<backend::channel, backend::failure> outcome) {
                                          ended = true;
                                          if (auto* c = std::get_if<backend::channel>(&outcome))
                                            link = wire::make_link(std::move(*c));
                                        });
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (!ended && std::chrono::steady_clock::now() < deadline) io.run_one_for(std::chrono::milliseconds(10));
  if (!link) return;
  say_hello(*link);
  part(*link);
}

bool other_process::stop() {
  ::kill(pid_, SIGSTOP);
  int status = 0;
  wait_for(pid_, WUNTRACED, status);
  if (WIFSTOPPED(status)) return true;
  pid_ = -1;
  return false;
}

void other_process::go_on() {
  int status = 0;
  ::kill(pid_, SIGCONT);
  wait_for(pid_, WCONTINUED, status);
}

void other_process::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  wait_for(pid_, 0, status);
  pid_ = -1;
}

}  // namespace kfx::test
