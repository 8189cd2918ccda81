// SPDX-License-Identifier: BSD-2-Clause
// Nodes with several partitions, on CPUs that this machine has.
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "catch_run.hpp"
#include "kfx/kfx.hpp"
#include "memory/slab.hpp"
#include "numa/memory_policy.hpp"
#include "numa/topology.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// Two CPUs of this process.
std::array<int, 2> cpus;

std::string two() { return "0[" + std::to_string(cpus[0]) + "] 1[" + std::to_string(cpus[1]) + "]"; }

/// Counts, and lets one wait for it.
class tally {
 public:
  void add() {
    std::lock_guard lock(m_);
    ++n_;
    changed_.notify_all();
  }
  bool reaches(int n) {
    std::unique_lock lock(m_);
    return changed_.wait_for(lock, 30s, [&] { return n_ >= n; });
  }

 private:
  std::mutex m_;
  std::condition_variable changed_;
  int n_ = 0;
};

/// The partition that explain() lists this peer in, or -1.
int home_in(const std::string& text, const std::string& peer) {
  int partition = -1;
  for (std::size_t at = 0; at < text.size();) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (line.starts_with("partition ")) partition = line[10] - '0';
    if (line.starts_with("partition ") && line.find(peer) != line.npos) return partition;
  }
  return -1;
}

/// Several servers in this process and a node with two partitions that some are at home in each of.
struct two_homes {
  std::vector<std::unique_ptr<node>> servers;
  std::unique_ptr<node> client;
  std::array<peer, 2> at;  ///< by home

  explicit two_homes(options mine = {}) {
    mine.partitions = two();
    client = std::make_unique<node>(mine);
    for (int i = 0; i < 64 && !(at[0].valid() && at[1].valid()); ++i) {
      servers.push_back(std::make_unique<node>(
          options{.listen = {"loop://home-" + std::to_string(::getpid()) + "-" + std::to_string(i)}}));
      const peer p = client->at(servers.back()->addresses().front() + "?direct=off");
      const int home = home_in(client->explain(), p.uri());
      REQUIRE(home >= 0);
      at[static_cast<std::size_t>(home)] = p;
    }
    REQUIRE(at[0].valid());
    REQUIRE(at[1].valid());
  }
};

}  // namespace

TEST_CASE("two peers are served, each on the CPU of its partition", "[vm]") {
  const std::string address = GENERATE("tcp://127.0.0.1:0", "loop://served");
  std::mutex m;
  std::map<std::string, std::set<int>> seen;  // the CPUs that each peer's handlers ran on
  node server({.listen = {address}, .partitions = two()});
  server.on_message([&](message msg) {
    {
      std::lock_guard lock(m);
      seen[std::string(reinterpret_cast<const char*>(msg.header().data()), msg.header().size())].insert(
          ::sched_getcpu());
    }
    msg.reply(msg.header());
  });
  std::vector<std::unique_ptr<node>> clients;
  std::vector<peer> peers;
  std::vector<std::string> names;
  for (int i = 0; i < 16; ++i) {
    names.push_back("client " + std::to_string(i));
    clients.push_back(std::make_unique<node>(options{.name = names.back()}));
    peers.push_back(clients.back()->at(server.addresses().front() + "?direct=off"));
  }
  for (int round = 0; round < 40; ++round)
    for (std::size_t i = 0; i < peers.size(); ++i) {
      std::array<char, 32> answer;
      REQUIRE(peers[i].send(names[i], {}, {.reply = answer}).complete(30s).has_value());
    }
  std::set<int> used;
  std::lock_guard lock(m);
  for (const auto& [name, on] : seen) {
    INFO(name);
    CHECK(on.size() == 1);
    CHECK((*on.begin() == cpus[0] || *on.begin() == cpus[1]));
    used.insert(*on.begin());
  }
  CHECK(seen.size() == 16);
  CHECK(used.size() == 2);
  const std::string text = server.explain();
  INFO(text);
  CHECK(text.find("partition 1: CPUs " + std::to_string(cpus[1])) != text.npos);
  CHECK(text.find(" pinned to them, ") != text.npos);
}

TEST_CASE("every engine thread stays on its partition's CPUs, also those that blocked handlers call for", "[vm]") {
  const std::string policy = GENERATE("", "off");
  tally in;
  std::atomic<bool> open{false};
  std::mutex m;
  std::array<std::vector<numa::cpu_list>, 2> allowed;
  options mine;
  mine.placement = policy;
  two_homes w(mine);
  for (const auto& s : w.servers) s->on_message([](message msg) { msg.reply(std::string_view("x")); });
  std::array<std::array<char, 8>, 6> answers;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    // A handler that blocks: another thread takes over.
    w.at[i % 2].send(std::string_view("h"), {}, {.reply = answers[i]}).then([&, i](result<done>) {
      {
        std::lock_guard lock(m);
        allowed[i % 2].push_back(numa::own_cpus());
      }
      in.add();
      while (!open) std::this_thread::yield();
    });
  }
  CHECK(in.reaches(static_cast<int>(answers.size())));
  const std::string text = w.client->explain();
  open = true;
  INFO(text);
  CHECK((text.find("3 threads") != text.npos || text.find("4 threads") != text.npos));
  CHECK((text.find("not pinned") != text.npos) == (policy == "off"));
  std::lock_guard lock(m);
  for (std::size_t p = 0; p < 2; ++p)
    for (const auto& seen : allowed[p]) CHECK(seen == (policy == "off" ? numa::own_cpus() : numa::cpu_list{cpus[p]}));
}

TEST_CASE("a region is served and revoked in every partition") {
  std::vector<std::byte> memory(1 << 16);
  node server({.listen = {"tcp://127.0.0.1:0"}, .partitions = two()});
  region r = server.share(mutable_buffer(memory), access::read_write);
  std::vector<std::unique_ptr<node>> clients;
  std::vector<peer> peers;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<node>(options{.name = "client " + std::to_string(i)}));
    peers.push_back(clients.back()->at(server.addresses().front()));
    const std::string text = std::to_string(i);
    REQUIRE(peers.back().write(text, r.token().at(static_cast<std::size_t>(i), 1)).complete(30s).has_value());
  }
  CHECK(std::string(reinterpret_cast<const char*>(memory.data()), 8) == "01234567");
  const remote_region token = r.token();
  r = region();
  for (const peer& p : peers)
    CHECK(p.write(std::string_view("x"), token.at(0, 1)).complete(30s).error() == errc::stale_region);
}

TEST_CASE("an op comes after one of another partition, however they race") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 rng(seed);
  const bool slow = GENERATE(false, true);
  two_homes w;
  std::atomic<int> effects{0}, early{0};
  for (const auto& s : w.servers)
    s->on_message([&, slow](message m) {
      int number = 0;
      std::memcpy(&number, m.header().data(), sizeof number);
      if (slow) std::this_thread::sleep_for(std::chrono::microseconds(number % 7 * 30));
      // Each is sent after the one before: it must not come first.
      if (effects.load() < number) ++early;
      effects.fetch_add(1);
    });
  for (int chain = 0; chain < 100; ++chain) {
    effects = 0;
    std::array<std::array<int, 1>, 20> headers;
    std::vector<op<done>> ops;
    op_id before = 0;
    for (int i = 0; i < 20; ++i) {
      auto& header = headers[static_cast<std::size_t>(i)];
      header[0] = i;
      ops.push_back(w.at[rng() % 2].send(header, {}, {.after = before}));
      before = ops.back().id();
      if (rng() % 8 == 0) (void)ops.back().complete(30s);
    }
    for (auto& o : ops) REQUIRE(o.complete(30s).has_value());
    REQUIRE(early == 0);
    REQUIRE(effects == 20);
  }
}

TEST_CASE("a failure in one partition fails what comes after it in another, whenever that is asked for") {
  two_homes w;
  std::atomic<int> effects{0};
  for (const auto& s : w.servers)
    s->on_message([&](message m) {
      if (m.header().size() == 3) return m.reject(make_error_code(std::errc::no_space_on_device));
      ++effects;
    });
  for (int i = 0; i < 200; ++i) {
    const std::size_t one = static_cast<std::size_t>(i) % 2;
    op<done> fails = w.at[one].send(std::string_view("bad"));
    const op_id id = fails.id();
    if (i % 4 >= 2) CHECK(fails.complete(30s).has_error());
    if (i % 8 >= 6) {  // forgotten, and its memory another's: its failure is not
      fails = {};
      for (int k = 0; k < 3; ++k) CHECK(w.at[one].send(std::string_view("fine")).complete(30s).has_value());
    }
    op<done> next = w.at[1 - one].send(std::string_view("good"), {}, {.after = id});
    op<done> third = w.at[one].send(std::string_view("good"), {}, {.after = next.id()});
    CHECK(next.complete(30s).error() == errc::dependency_failed);
    CHECK(third.complete(30s).error() == errc::dependency_failed);
  }
  CHECK(effects == 150);  // of what came after nothing
}

TEST_CASE("an op that waits for another partition can be cancelled, and its node can end") {
  std::atomic<bool> open{false};
  two_homes w;
  for (const auto& s : w.servers)
    s->on_message([&](message) {
      while (!open) std::this_thread::yield();
    });
  op<done> first = w.at[0].send(std::string_view("blocks"));
  {
    op<done> second = w.at[1].send(std::string_view("x"), {}, {.after = first.id()});
    second.cancel();
    CHECK(second.complete(30s).error() == errc::cancelled);
  }
  op<done> third = w.at[1].send(std::string_view("x"), {}, {.after = first.id()});
  op<done> fourth = w.at[1].send(std::string_view("x"), {}, {.after = first.id()});
  fourth = {};
  const std::array<peer, 2> kept = w.at;
  w.client.reset();
  open = true;
  CHECK(first.complete(30s).has_error());
  CHECK(third.complete(30s).has_error());
  CHECK(kept[0].send(std::string_view("x")).complete(30s).error() == errc::node_stopped);
  CHECK(kept[1].send(std::string_view("x")).complete(30s).error() == errc::node_stopped);
}

TEST_CASE("one thread in run() drives all partitions, and sleeps on all of them") {
  options mine;
  mine.progress = progress::caller;
  two_homes w(mine);
  tally got;
  w.client->on_message([&](message m) {
    (void)m;
    got.add();
  });
  for (const auto& s : w.servers)
    s->on_message([](message m) {
      const peer back = m.from();
      m.reply(std::string_view("x"));
      back.send(std::string_view("and back")).detach();
    });
  std::thread driver([&] { w.client->run(); });
  std::array<std::array<char, 8>, 2> answers;
  for (int i = 0; i < 200; ++i) {
    const auto one = static_cast<std::size_t>(i % 2);
    auto o = w.at[one].send(std::string_view("h"), {}, {.reply = answers[one]});
    while (!o.ready()) std::this_thread::yield();  // this thread moves nothing
    // Now and then it falls asleep in between.
    if (i % 50 == 0) std::this_thread::sleep_for(2ms);
  }
  CHECK(got.reaches(200));
  w.client->stop();
  driver.join();
  w.client->run_for(1ms);
}

TEST_CASE("buffers lie where the policy says, or where they are asked for", "[vm]") {
  for (const auto& n : numa::machine().nodes) {
    const node it({.placement = "node:" + std::to_string(n.number)});
    CHECK(it.explain().find("memory on NUMA node " + std::to_string(n.number)) != std::string::npos);
    node& mutable_node = const_cast<node&>(it);
    for (const std::size_t bytes : {std::size_t{100}, std::size_t{3} << 20}) {
      const buffer b = mutable_node.allocate(bytes);
      std::fill(b.data(), b.data() + bytes, std::byte{1});
      const int lies_on = numa::node_of_page(b.data());
      if (lies_on >= 0) CHECK(lies_on == n.number);
      const auto s = memory::slab_of(b.data());
      REQUIRE(s);
      std::printf("node %d: %zu bytes in pages of %zu on node %d\n", n.number, bytes, s->keep->page_size(), lies_on);
    }
  }
}

int main(int argc, char** argv) {
  const auto mine = numa::own_cpus();
  if (mine.size() < 2) {
    std::printf("skipped: this process may use %zu CPU, and two partitions want two\n", mine.size());
    return 77;
  }
  cpus = {mine.front(), mine.back()};
  return kfx::test::run_catch(argc, argv);
}
