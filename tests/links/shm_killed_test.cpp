// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Processes killed at any moment: the survivor is told, its transfers end, and nothing is left on the host.

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <set>

#include "links/link_suite.hpp"
#include "links/other_process.hpp"

using namespace kfx;
using namespace kfx::test;
using namespace std::chrono_literals;

namespace {

std::set<std::string> names_in(const std::string& directory, const std::string& with = "") {
  std::set<std::string> names;
  DIR* d = ::opendir(directory.c_str());
  while (const dirent* e = d ? ::readdir(d) : nullptr)
    if (e->d_name[0] != '.' && std::string(e->d_name).find(with) != std::string::npos) names.insert(e->d_name);
  if (d) ::closedir(d);
  return names;
}

/// A directory for this test's sockets.
struct run_directory {
  run_directory() {
    REQUIRE(::mkdtemp(path));
    if (const char* was = std::getenv("XDG_RUNTIME_DIR")) before = was;
    ::setenv("XDG_RUNTIME_DIR", path, 1);
  }
  ~run_directory() {
    if (before.empty())
      ::unsetenv("XDG_RUNTIME_DIR");
    else
      ::setenv("XDG_RUNTIME_DIR", before.c_str(), 1);
    ::rmdir((std::string(path) + "/kfx").c_str());
    ::rmdir(path);
  }
  char path[32] = "/tmp/kfx-test-run-XXXXXX";
  std::string before;
};

/// Shares a buffer, tells its key, and puts into whatever it is told of.
void both_ways(backend::link& link) {
  side self(link);
  pages owned(mib, true);
  const mutable_buffer memory = owned.all();
  const auto mine = link.direct()->share(std::span(&memory, 1), kfx::access::read_write, backend::sharing::lasting);
  rng r(3);
  frame f = random_frame(r, 4);
  if (mine) std::memcpy(f.body.data(), &*mine, 4);
  while (!self.error && !self.build(f)) self.turn();
  bytes source(200 * 1024);
  const const_buffer from(source);
  backend::direct_key key = 0;
  for (backend::cookie id = 1; !self.error; ++id) {
    if (key != 0) self.direct().put(key, 0, std::span(&from, 1), id);
    self.turn();
    self.seen.direct.clear();
    if (self.seen.frames.empty()) continue;
    std::memcpy(&key, self.seen.frames.front().body.data(), sizeof key);
    self.seen.frames.clear();
  }
}

}  // namespace

TEST_CASE("a process killed at any moment leaves nothing, and what concerns it ends", "[links][shm]") {
  rng r(seed_for("killed"));
  run_directory run;
  const auto in_memory = names_in("/dev/shm", "kfx");
  std::size_t files = 0;
  for (std::size_t round = rounds(60); round > 0; --round) {
    const auto began = names_in("/proc/self/fd").size();
    {
      other_process peer(round % 2 ? "" : "bulk=cross", both_ways);
      REQUIRE(peer.link());
      side self(*peer.link());
      pages owned(mib, true);
      const mutable_buffer memory = owned.all();
      const auto key =
          self.link.direct()->share(std::span(&memory, 1), kfx::access::read_write, backend::sharing::lasting);
      REQUIRE(key.has_value());
      frame f = random_frame(r, 4);
      std::memcpy(f.body.data(), &*key, 4);
      REQUIRE(turn_until(self, [&] { return self.build(f); }));
      REQUIRE(turn_until(self, [&] { return !self.seen.frames.empty(); }));
      backend::direct_key theirs = 0;
      std::memcpy(&theirs, self.seen.frames.front().body.data(), sizeof theirs);
      const bytes source(100 * 1024);
      const const_buffer from(source);
      backend::cookie started = 0;
      const std::size_t kill_at = r() % 200;
      const auto limit = std::chrono::steady_clock::now() + 10s;
      while (!self.error && std::chrono::steady_clock::now() < limit) {
        if (started == kill_at) peer.kill();
        if (theirs != 0 && self.direct().put(theirs, 0, std::span(&from, 1), started + 1)) ++started;
        self.turn();
      }
      CHECK(self.error);
      // All but those of the turn in which the link died were reported.
      CHECK(self.seen.direct.size() + 2 >= started);
      const auto begin = std::chrono::steady_clock::now();
      self.link.direct()->withdraw(*key);
      self.link.close();
      CHECK(std::chrono::steady_clock::now() - begin < 500ms);
      CHECK(memory::slab_of(owned.data()).has_value());  // the dead are not waited for, nor fled from
    }
    files = names_in("/proc/self/fd").size();
    CHECK(files == began);
    CHECK(names_in(run.path).empty());
  }
  CHECK(names_in("/dev/shm", "kfx") == in_memory);
}

TEST_CASE("the name of a listener that was killed goes with the next visitor, or listener", "[links][shm]") {
  run_directory run;
  const bool visits = GENERATE(true, false);
  const std::string uri = "shm://killed-listener";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  boost::asio::io_context io;
  options o;
  backend::context context{io, std::string(32, 'd'), "host", "process", o};
  std::string why;
  const backend::uri at = *backend::uri::parse(uri, &why);
  backend::backend& shm = *backend::find_backend("shm");
  if (child == 0) {
    auto listener = shm.listen(context, at, [](backend::channel) {});
    [[maybe_unused]] const auto said = ::write(ready[1], "r", 1);
    for (;;) ::pause();
  }
  char c;
  REQUIRE(::read(ready[0], &c, 1) == 1);
  CHECK(names_in(std::string(run.path) + "/kfx").size() == 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (visits) {
    bool refused = false;
    shm.connect(context, at, [&](auto outcome) { refused = std::holds_alternative<backend::failure>(outcome); });
    io.run();
    CHECK(refused);
  } else {
    unsigned strangers = 0;
    auto another =
        shm.listen(context, *backend::uri::parse("shm://another", &why), [&](backend::channel) { ++strangers; });
    auto third = shm.listen(context, *backend::uri::parse("shm://third", &why), [](backend::channel) {});
    CHECK(names_in(std::string(run.path) + "/kfx") == std::set<std::string>{"another", "third"});
    io.poll();
    CHECK(strangers == 0);
    another = backend::failure{};
    third = backend::failure{};
    io.run_for(100ms);
  }
  CHECK(names_in(run.path).empty());
  ::close(ready[0]);
  ::close(ready[1]);
}
