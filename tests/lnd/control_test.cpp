// SPDX-License-Identifier: BSD-2-Clause
#include "control_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <fstream>
#include <thread>

#include "base/seed.hpp"
#include "descriptor.hpp"
#include "fake_lnet.hpp"
#include "folder.hpp"
#include "request.hpp"

using lnet::control_server;
using lnet::descriptor;
using lnet_test::fake_lnet;

namespace {

/// Says anything to a server, and waits for what it says.
class caller {
 public:
  explicit caller(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    REQUIRE(lnet::unix_address(path, address));
    REQUIRE(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  /// False: the server is not there for us any more.
  bool say(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void say_no_more() { ::shutdown(fd_.get(), SHUT_WR); }

  /// The next line; empty: it closed.
  std::string hear() {
    for (;;) {
      const std::size_t end = heard_.find('\n');
      if (end != heard_.npos) {
        const std::string line = heard_.substr(0, end + 1);
        heard_.erase(0, end + 1);
        return line;
      }
      char chunk[4096];
      const ssize_t n = ::recv(fd_.get(), chunk, sizeof chunk, 0);
      if (n <= 0) return {};
      heard_.append(chunk, static_cast<std::size_t>(n));
    }
  }
  /// Up to the end mark; its status.
  int answer(std::string* yaml = nullptr) {
    for (;;) {
      const std::string line = hear();
      if (line.empty()) return 1;
      if (line.starts_with(lnet::end_mark)) return std::stoi(line.substr(lnet::end_mark.size()));
      if (yaml) *yaml += line;
    }
  }
  int get() const { return fd_.get(); }

 private:
  descriptor fd_;
  std::string heard_;
};

std::string refusal(const std::string& path, lnet::management& m) {
  try {
    const control_server s(path, m);
  } catch (const std::system_error& e) {
    return e.what();
  }
  return {};
}

/// Whose pings last until they are let go.
class slow_lnet final : public fake_lnet {
 public:
  int ping(lnet::nid, std::chrono::milliseconds, std::vector<lnet::nid>&) override {
    std::unique_lock held(gate_);
    begun_ = true;
    changed_.notify_all();
    changed_.wait(held, [&] { return open_; });
    return 0;
  }
  void wait_for_ping() {
    std::unique_lock held(gate_);
    changed_.wait(held, [&] { return begun_; });
  }
  void let_go() {
    const std::lock_guard held(gate_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex gate_;
  std::condition_variable changed_;
  bool begun_ = false, open_ = false;
};

}  // namespace

TEST_CASE("a server answers over its socket", "[control]") {
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  caller c(dir.file("socket"));
  REQUIRE(c.say("net add --net kfx --if eth0\n"));
  std::string yaml;
  CHECK(c.answer(&yaml) == 0);
  CHECK(yaml.empty());
  REQUIRE(c.say("net show --net kfx\r\n"));
  CHECK(c.answer(&yaml) == 0);
  CHECK(yaml.starts_with("net:\n    - net type: kfx\n"));
  REQUIRE(c.say("net del --net tcp\n"));
  CHECK(c.answer() == -ENOENT);
}

TEST_CASE("a socket is for its owner only, and goes with its server", "[control]") {
  const lnet_test::folder dir;
  const std::string path = dir.file("socket");
  fake_lnet l;
  struct stat there {};
  {
    const control_server server(path, l);
    REQUIRE(::lstat(path.c_str(), &there) == 0);
    CHECK(S_ISSOCK(there.st_mode));
    CHECK((there.st_mode & 0777) == 0600);
    // A second one does not take it away.
    CHECK(refusal(path, l).find("another server is there") != std::string::npos);
    caller c(path);
    REQUIRE(c.say("stats reset\n"));
    CHECK(c.answer() == 0);
  }
  CHECK(::lstat(path.c_str(), &there) != 0);
}

TEST_CASE("a server takes the place of a dead one, and of nothing else", "[control]") {
  const lnet_test::folder dir;
  const std::string path = dir.file("socket");
  fake_lnet l;
  {
    const descriptor dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    REQUIRE(lnet::unix_address(path, address));
    REQUIRE(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  {
    const control_server server(path, l);
    caller c(path);
    REQUIRE(c.say("stats reset\n"));
    CHECK(c.answer() == 0);
  }
  std::ofstream(path) << "precious";
  CHECK(refusal(path, l).find("something else is there") != std::string::npos);
  std::string kept;
  std::ifstream(path) >> kept;
  CHECK(kept == "precious");
  CHECK(refusal(dir.file("none/socket"), l).find("folder") != std::string::npos);
  CHECK(refusal(dir.file(std::string(200, 'x')), l).find("107 characters") != std::string::npos);
  CHECK_FALSE(refusal("", l).empty());
}

TEST_CASE("a server leaves alone what took its path", "[control]") {
  const lnet_test::folder dir;
  const std::string path = dir.file("socket");
  fake_lnet l;
  {
    const control_server server(path, l);
    REQUIRE(::unlink(path.c_str()) == 0);
    std::ofstream(path) << "precious";
  }
  struct stat there {};
  CHECK(::lstat(path.c_str(), &there) == 0);
}

TEST_CASE("each line gets its answer, however lines are cut", "[control]") {
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  caller c(dir.file("socket"));
  // Together, then one character at a time.
  REQUIRE(c.say("net add --net kfx\nfly\n\nnet add --net kfx\nstats show\n"));
  for (const int status : {0, -EOPNOTSUPP, -EINVAL, -EEXIST, 0}) CHECK(c.answer() == status);
  for (const char each : std::string("net del --net kfx\nnet del --net kfx\n")) REQUIRE(c.say({&each, 1}));
  CHECK(c.answer() == 0);
  CHECK(c.answer() == -ENOENT);
  // Half a line is no order, for it might have gone on.
  REQUIRE(c.say("net add --net tcp\nnet add --net kfx"));
  c.say_no_more();
  CHECK(c.answer() == 0);
  CHECK(c.hear().empty());
  CHECK(l.nis().front().nid.net == lnet::net{lnet::kind_tcp, 0});
  CHECK(l.nis().size() == 2);
}

TEST_CASE("a line without end gets one answer when it ends", "[control]") {
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  caller c(dir.file("socket"));
  for (int i = 0; i < 500; ++i) REQUIRE(c.say(std::string(10000, 'x')));
  REQUIRE(c.say("\nstats show\n"));
  std::string yaml;
  CHECK(c.answer(&yaml) == -EINVAL);
  CHECK(yaml.find("longer than 4096") != yaml.npos);
  CHECK(c.answer() == 0);
}

TEST_CASE("clients that vanish, or never listen, are nobody's trouble", "[control]") {
  const lnet_test::folder dir;
  fake_lnet l;
  for (std::uint32_t i = 0; i < 2000; ++i) l.peer_add({i + 1, {lnet::kind_lo, 0}}, {});
  const control_server server(dir.file("socket"), l);
  caller deaf(dir.file("socket"));
  // It gets no further than its socket's buffer.
  const int flags = ::fcntl(deaf.get(), F_GETFL);
  REQUIRE(::fcntl(deaf.get(), F_SETFL, flags | O_NONBLOCK) == 0);
  while (deaf.say("peer show --verbose\n")) {
  }
  for (int i = 0; i < 50; ++i) {
    caller gone(dir.file("socket"));
    CHECK(gone.say("peer show --verbose\npeer show --verb"));
  }
  caller c(dir.file("socket"));
  REQUIRE(c.say("stats show\n"));
  CHECK(c.answer() == 0);
}

TEST_CASE("whoever was silent longest makes room", "[control]") {
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  std::vector<std::unique_ptr<caller>> all;
  const auto come = [&] {
    all.push_back(std::make_unique<caller>(dir.file("socket")));
    REQUIRE(all.back()->say("stats reset\n"));
    REQUIRE(all.back()->answer() == 0);
  };
  while (all.size() < control_server::most_clients) come();
  // The first one speaks again, and so the second is the oldest.
  REQUIRE(all[0]->say("stats reset\n"));
  REQUIRE(all[0]->answer() == 0);
  come();
  CHECK(all[1]->hear().empty());
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}, all.size() - 1}) {
    REQUIRE(all[i]->say("stats reset\n"));
    CHECK(all[i]->answer() == 0);
  }
}

TEST_CASE("a server without descriptors comes back", "[control]") {
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  caller first(dir.file("socket"));
  REQUIRE(first.say("stats reset\n"));
  REQUIRE(first.answer() == 0);
  descriptor waiting(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  REQUIRE(lnet::unix_address(dir.file("socket"), address));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{3, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const int connected = ::connect(waiting.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // The silent one goes to make room, which is not enough here.
  const std::string silence = first.hear();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(connected == 0);
  CHECK(silence.empty());
  REQUIRE(::send(waiting.get(), "stats reset\n", 12, MSG_NOSIGNAL) == 12);
  char byte = 0;
  CHECK(::recv(waiting.get(), &byte, 1, 0) == 1);
}

TEST_CASE("many clients at once all get their own answers", "[control][threads]") {
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (unsigned t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      const std::string net = "kfx" + std::to_string(t + 1);
      for (int i = 0; i < 20; ++i) {
        caller c(dir.file("socket"));
        std::string yaml;
        c.say("net add --net " + net + " --if eth0\nnet show --net " + net + "\nnet del --net " + net + "\n");
        wrong += c.answer() != 0;
        wrong += c.answer(&yaml) != 0 || yaml.find("@" + net + "\n") == yaml.npos;
        wrong += c.answer() != 0;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(l.nis().size() == 1);
}

TEST_CASE("a server ends while it is asked, after what is under way", "[control][threads]") {
  const lnet_test::folder dir;
  slow_lnet l;
  auto server = std::make_unique<control_server>(dir.file("socket"), l);
  caller c(dir.file("socket"));
  REQUIRE(c.say("ping 10.0.0.1@kfx\nnet add --net kfx\n"));
  l.wait_for_ping();
  std::thread ends([&] { server.reset(); });
  l.let_go();
  ends.join();
  struct stat there {};
  CHECK(::lstat(dir.file("socket").c_str(), &there) != 0);
  // The connection is closed, and the ping's answer may have been sent.
  while (!c.hear().empty()) {
  }
}

TEST_CASE("no input brings a server down", "[control][random]") {
  kfx_test::rng r(kfx_test::seed("control server"));
  const lnet_test::folder dir;
  fake_lnet l;
  const control_server server(dir.file("socket"), l);
  const char* const words[] = {
      "net",    "peer",      "stats", "show",  "add",      "del",  "reset",         "ping", "set",     "health",
      "export", "conn",      "close", "--net", "--nid",    "--if", "--cpt",         "kfx1", "eth0[0]", "--prim_nid",
      "0-1",    "--verbose", "lo",    "tcp",   "--health", "1000", "10.0.0.1@kfx1", "...",  "# 0"};
  std::unique_ptr<caller> c;
  std::size_t asked = 0;
  for (int i = 0; i < 3000; ++i) {
    if (!c) c = std::make_unique<caller>(dir.file("socket"));
    std::string text;
    for (auto k = kfx_test::below(r, 8); k != 0; --k)
      if (kfx_test::below(r, 6) != 0)
        (text += words[kfx_test::below(r, std::size(words))]) += ' ';
      else
        for (auto n = kfx_test::log_uniform(r, 14); n != 0; --n) text += static_cast<char>(r());
    text += '\n';
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    REQUIRE(c->say(text));
    asked += lines;
    // Some do not wait for their answers.
    if (kfx_test::below(r, 20) == 0) {
      c.reset();
      continue;
    }
    for (std::size_t k = 0; k < lines; ++k) REQUIRE(c->answer() <= 0);
  }
  CHECK(asked >= 3000);
  // The loopback NI cannot be lost, whatever was asked.
  CHECK(l.nis().back().nid.is_loopback());
}
