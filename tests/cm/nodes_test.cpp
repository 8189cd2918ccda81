// SPDX-License-Identifier: BSD-2-Clause
// Nodes that meet, through the public API.

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

constexpr auto patience = 20s;

const_buffer text(std::string_view s) { return std::as_bytes(std::span(s.data(), s.size())); }

/// What on_peer said, in order; tests wait for it.
class diary {
 public:
  void watch(node& n) {
    n.on_peer([this](const peer&, peer_event e) {
      std::lock_guard lock(mutex_);
      events_.push_back(e);
      changed_.notify_all();
    });
  }
  bool has(peer_event e, std::size_t times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] {
      return static_cast<std::size_t>(std::count(events_.begin(), events_.end(), e)) >= times;
    });
  }
  std::size_t count(peer_event e) {
    std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count(events_.begin(), events_.end(), e));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<peer_event> events_;
};

template <class T>
T must(op<T>&& o) {
  (void)o.complete(patience);
  INFO(o.explain());
  REQUIRE(o.ready());
  REQUIRE(o.result().has_value());
  return *o.result();
}

template <class T>
std::error_code error_of(op<T>&& o) {
  (void)o.complete(patience);
  REQUIRE(o.ready());
  return o.result() ? std::error_code() : o.result().error();
}

/// A server with 1 MiB published as "memory" that answers messages with their header.
struct store {
  explicit store(options o) : served(std::move(o)), memory(1 << 20) {
    shared = served.share(mutable_buffer(memory), access::read_write);
    served.publish("memory", shared);
    served.on_message([](message m) {
      const std::vector<std::byte> header(m.header().begin(), m.header().end());
      if (m.wants_reply()) m.reply(const_buffer(header));
    });
  }
  node served;
  std::vector<std::byte> memory;
  region shared;
};

void exercise(const peer& p) {
  const remote_region remote = must(p.open("memory"));
  CHECK(remote.length() == 1 << 20);
  std::vector<std::byte> out(300'000), in(300'000);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 7);
  CHECK(must(p.write(out, remote.at(100))).bytes == out.size());
  CHECK(must(p.read(in, remote.at(100, in.size()))).bytes == in.size());
  CHECK(in == out);
  std::vector<std::byte> answer(16);
  const done d = must(p.send(text("hello"), {}, {.reply = mutable_buffers(answer)}));
  CHECK(d.bytes == 5);
  CHECK(std::memcmp(answer.data(), "hello", 5) == 0);
}

}  // namespace

TEST_CASE("two nodes meet over tcp") {
  diary at_server, at_client;  // outlive the nodes that write into them
  store s({.listen = {"tcp://127.0.0.1:0"}});
  REQUIRE(s.served.addresses().size() == 1);
  at_server.watch(s.served);
  node client;
  at_client.watch(client);
  const peer p = client.at(s.served.addresses().front());
  CHECK_FALSE(p.connected());
  exercise(p);
  CHECK(p.connected());
  CHECK(p.explain().find("tcp") != std::string::npos);
  CHECK(at_server.has(peer_event::up));
  CHECK(at_client.has(peer_event::up));
}

TEST_CASE("loop:// is met by name, with one-sided transfers and without") {
  store s({.listen = {"loop://cm-test"}});
  node client;
  exercise(client.at("loop://cm-test"));
  exercise(client.at("loop://cm-test?direct=off"));
}

TEST_CASE("kfx:// moves up to what is best between the nodes") {
  store s({.listen = {"kfx://127.0.0.1:0"}});
  const std::string address = s.served.addresses().front();
  REQUIRE(address.starts_with("kfx://127.0.0.1:"));
  node client;
  const peer p = client.at(address);
  exercise(p);
  INFO(p.explain());
  CHECK(p.explain().find("loop is the best that reaches the peer") != std::string::npos);

  const peer over_tcp = client.at(address + "?require=tcp");
  exercise(over_tcp);
  INFO(over_tcp.explain());
  CHECK(over_tcp.explain().find("tcp is required") != std::string::npos);
  CHECK_FALSE(p == over_tcp);
  CHECK(client.at(address) == p);
}

TEST_CASE("caller mode: two nodes driven by their threads") {
  diary at_server;
  store s({.listen = {"tcp://127.0.0.1:0"}, .progress = progress::caller});
  at_server.watch(s.served);
  std::thread driver([&] { s.served.run(); });
  {
    node client({.progress = progress::caller});
    exercise(client.at(s.served.addresses().front()));
  }
  CHECK(at_server.has(peer_event::up));
  CHECK(at_server.has(peer_event::down));
  s.served.stop();
  driver.join();
}

TEST_CASE("a node that is gone is waited for, and one that came back is another one") {
  std::optional<store> s;
  s.emplace(options{.listen = {"tcp://127.0.0.1:0"}});
  const std::string address = s->served.addresses().front();
  diary d;
  node client;
  d.watch(client);
  const peer p = client.at(address);
  exercise(p);
  const remote_region old = must(p.open("memory"));
  s.reset();
  CHECK(d.has(peer_event::down));
  op<remote_region> waiting = p.open("memory");
  CHECK_FALSE(waiting.complete(100ms).has_value());
  s.emplace(options{.listen = {address}});
  // Submitted towards the old one or the new one, which nobody can tell.
  (void)waiting.complete(patience);
  REQUIRE(waiting.ready());
  CHECK((waiting.result().has_value() || waiting.result().error() == errc::peer_restarted));
  CHECK(d.has(peer_event::restarted));
  exercise(p);
  std::vector<std::byte> in(8);
  CHECK(error_of(p.read(in, old.at(0, 8))) == errc::stale_region);
}

TEST_CASE("what cannot work ends at once and says why") {
  node client;
  CHECK(error_of(client.at("tcp://no-such-host.invalid:7400").open("x")) == errc::unreachable);
  store s({.listen = {"tcp://127.0.0.1:0"}});
  const std::string address = s.served.addresses().front();
  CHECK_THROWS_AS(client.at("tcp//x"), error);
  CHECK_THROWS_AS(client.at("nonsense://x"), error);
  CHECK_THROWS_AS(client.at(address + "?limit=never"), error);
  CHECK_THROWS_AS(client.at(address + "?listen=x"), error);
  CHECK_THROWS_AS(client.at(address + "?lmit=5s"), error);
  CHECK_THROWS_AS(client.at("kfx://127.0.0.1:1?require=pigeon"), error);
  CHECK_THROWS_AS(node({.listen = {address}}), error);
  try {
    node second({.listen = {address}});
    FAIL("two nodes listen at one address");
  } catch (const error& e) {
    CHECK(e.code() == errc::address_in_use);
    CHECK(std::string(e.what()).find(address) != std::string::npos);
  }
}

TEST_CASE("nobody there: the limit ends it") {
  node client;
  const auto begin = clock::now();
  const peer p = client.at("loop://cm-nobody?limit=200ms");
  op<remote_region> o = p.open("x");
  (void)o.complete(patience);
  REQUIRE(o.ready());
  CHECK(o.result().has_error());
  CHECK(clock::now() - begin >= 150ms);
  CHECK(o.explain().find("no node listens") != std::string::npos);
}

TEST_CASE("both connect to each other at once") {
  for (int round = 0; round < 20; ++round) {
    store a({.listen = {"tcp://127.0.0.1:0"}});
    store b({.listen = {"tcp://127.0.0.1:0"}});
    const peer ab = a.served.at(b.served.addresses().front());
    const peer ba = b.served.at(a.served.addresses().front());
    op<remote_region> one = ab.open("memory");
    op<remote_region> other = ba.open("memory");
    must(std::move(one));
    must(std::move(other));
    exercise(ab);
    exercise(ba);
  }
}

TEST_CASE("a node talks to itself") {
  store s({.listen = {"tcp://127.0.0.1:0", "kfx://127.0.0.1:0", "loop://cm-self"}});
  REQUIRE(s.served.addresses().size() == 3);
  for (const std::string& address : s.served.addresses()) exercise(s.served.at(address));
}

TEST_CASE("handles that outlive their node are harmless") {
  std::optional<peer> p;
  std::optional<region> r;
  std::vector<std::byte> memory(64);
  {
    store s({.listen = {"tcp://127.0.0.1:0"}});
    node client;
    p = client.at(s.served.addresses().front());
    r = client.share(mutable_buffer(memory), access::read);
    exercise(*p);
  }
  CHECK(error_of(p->open("memory")) == errc::node_stopped);
  CHECK_FALSE(p->connected());
  CHECK_FALSE(p->uri().empty());
  CHECK(r->memory().data() == memory.data());
}
