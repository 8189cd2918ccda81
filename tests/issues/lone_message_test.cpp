// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What a message that comes alone, whose handler runs at once, must not do to others: end the session that is looked
/// at next, have the engine forget an ack or an op, or keep what was asked for before from leaving. All nodes are
/// driven by this thread, so that what comes in one look is certain, and none of them asks after another by itself,
/// because that would mend what is broken.

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

constexpr auto patience = 10s;
constexpr std::string_view alone = "a", beside = "beside";

options silent(std::vector<std::string> listen = {}) {
  return {.listen = std::move(listen), .progress = progress::caller, .limit = 1h, .keepalive = 1h};
}
std::string near_by(const std::string& name) { return "shm://" + name + "-" + std::to_string(::getpid()); }

/// Polls these nodes until then. False: it does not come.
template <class Until, class... Nodes>
bool reaches(Until until, Nodes&... nodes) {
  for (const auto end = clock::now() + patience; !until(); (nodes.poll(), ...))
    if (clock::now() > end) return false;
  return true;
}
template <class Op, class... Nodes>
bool ends(const Op& o, Nodes&... nodes) {
  return reaches([&] { return o.ready(); }, nodes...);
}

/// Looks in vain, after which a message is taken for one that comes alone. Far too seldom for links to be put to sleep.
template <class... Nodes>
void look_around(Nodes&... nodes) {
  for (int i = 0; i < 50; ++i) (nodes.poll(), ...);
}

bool readable(const node& n, std::chrono::milliseconds patient) {
  pollfd p{n.fd(), POLLIN, 0};
  return ::poll(&p, 1, static_cast<int>(patient.count())) > 0;
}
/// Its links are to be woken by what comes next, in the order in which it comes.
void fall_asleep(node& n) {
  while (readable(n, 0ms)) n.poll();
}
/// What a program's loop does that sleeps on the descriptor.
template <class Until>
bool reaches_asleep(Until until, node& n) {
  for (const auto end = clock::now() + patience; !until();) {
    if (clock::now() > end) return false;
    if (readable(n, 20ms))
      while (n.poll() != 0) {
      }
  }
  return true;
}

bool is(const message& m, std::string_view what) { return m.header().size() == what.size(); }

}  // namespace

TEST_CASE("a message that comes alone leaves the session that is looked at next alone") {
  for (int round = 0; round < 5; ++round) {
    unsigned arrived = 0;
    std::atomic<int> down{0};
    node server(silent({near_by("lone-innocent"), "tcp://127.0.0.1:0"}));
    server.on_message([&](message) { ++arrived; });
    node quick(silent()), other(silent());
    other.on_peer([&](const peer&, peer_event e) { down += e == peer_event::down; });
    const peer from_quick = quick.at(server.addresses()[0]), from_other = other.at(server.addresses()[1]);
    for (int i = 0; i < 2; ++i) {
      REQUIRE(ends(from_other.send(beside), server, other));
      REQUIRE(ends(from_quick.send(alone), server, quick));
      look_around(server);
    }
    fall_asleep(server);
    // Both are there when the server looks, at this one first.
    auto one = from_quick.send(alone);
    auto two = from_other.send(beside);
    look_around(quick, other);
    REQUIRE(ends(one, server, quick, other));
    REQUIRE(ends(two, server, quick, other));
    CHECK(one.result().error() == std::error_code());
    CHECK(two.result().error() == std::error_code());
    CHECK(arrived == 6);
    REQUIRE(down == 0);
  }
}

TEST_CASE("an ack that came beside a message that came alone is not forgotten by who falls asleep") {
  unsigned from_quick = 0, from_other = 0;
  peer back;
  node sleeper(silent({near_by("lone-ack-s")})), quick(silent()), other(silent({near_by("lone-ack-o")}));
  sleeper.on_message([&](message m) { ++(is(m, alone) ? from_quick : from_other); });
  // The answer takes the ack along.
  other.on_message([&](message m) {
    back = m.from();
    m.let_go();
    back.send(beside).detach();
  });
  const peer to_sleeper = quick.at(sleeper.addresses().front()), to_other = sleeper.at(other.addresses().front());
  REQUIRE(ends(to_sleeper.send(alone), sleeper, quick));
  REQUIRE(ends(to_other.send(alone), sleeper, other));
  for (unsigned round = 0; round < 10; ++round) {
    INFO("round " << round);
    // A burst of the one and a message of the other in one look: the next look, in the same poll, is in vain.
    look_around(quick, other);
    fall_asleep(sleeper);
    std::vector<op<done>> burst;
    for (int i = 0; i < 6; ++i) burst.push_back(back.send(beside));
    burst.push_back(to_sleeper.send(alone));
    look_around(quick, other);
    for (const auto& o : burst) REQUIRE(ends(o, sleeper, quick, other));
    look_around(quick, other);
    fall_asleep(sleeper);

    const unsigned quick_before = from_quick, other_before = from_other;
    auto one = to_sleeper.send(alone);
    auto two = to_other.send(alone);
    look_around(quick, other);  // both messages are in their rings
    REQUIRE(reaches_asleep([&] { return from_quick != quick_before && from_other != other_before; }, sleeper));
    REQUIRE(reaches_asleep([&] { return two.ready(); }, sleeper));
    REQUIRE(ends(one, sleeper, quick));
  }
}

TEST_CASE("a lane goes on after a write that failed, of the handler of a message that came alone") {
  std::array<std::byte, 4096> plain{};
  const std::array<std::byte, 512> bytes{};
  peer to_owner, to_writer;
  remote_region stale, good;
  std::optional<op<done>> fails, behind;
  int arrived = 0;
  node owner(silent({near_by("lone-lane")})), writer(silent());
  buffer mapped = owner.allocate(4096);
  const region lasting = owner.share(mutable_buffer(plain), access::read_write);
  good = lasting.token();
  owner.on_message([&](message m) { to_writer = m.from(); });
  writer.on_message([&](message) {
    if (++arrived % 4 != 0) return;
    fails.emplace(to_owner.write(bytes, stale.at(0, bytes.size())));
    behind.emplace(to_owner.write(bytes, good.at(0, bytes.size())));
  });
  // The first write is made by this thread in the owner's memory, the second, which has to wait for it, is framed.
  to_owner = writer.at(owner.addresses().front() + "?bulk=mapped");
  REQUIRE(ends(to_owner.send(beside), writer, owner));
  REQUIRE(to_writer.valid());

  for (int round = 0; round < 8; ++round) {
    INFO("round " << round);
    std::optional<region> gone(owner.share(mapped.span(), access::read_write));
    stale = gone->token();
    for (int i = 0; i < 4; ++i) {
      REQUIRE(ends(to_owner.write(bytes, stale.at(0, bytes.size())), writer, owner));
      REQUIRE(ends(to_owner.write(bytes, good.at(0, bytes.size())), writer, owner));
    }
    gone.reset();
    look_around(owner, writer);
    for (int i = 0; i < 4; ++i) {
      REQUIRE(ends(to_writer.send(alone), writer, owner));
      look_around(owner, writer);
    }
    REQUIRE(behind);
    REQUIRE(ends(*behind, writer, owner));
    CHECK(behind->result().error() == std::error_code());
    REQUIRE(ends(*fails, writer, owner));
    CHECK(fails->result().error() == errc::stale_region);
  }
}

// The next two are about what leaves while a handler runs. Where it does not, the control thread sees to it after a few
// milliseconds, and a slow machine may spend these anywhere: what most rounds show counts, and none waits.

TEST_CASE("an answer wakes its receiver while its handler goes on, though another session had a message too") {
  constexpr int rounds = 41;
  int asleep = 0, woken = 0;
  bool first = false;
  std::array<node, 2> askers{node(silent()), node(silent())};
  node server(silent({near_by("lone-answer")}));
  // Of two messages in one look, the one that is found first came alone as far as can be told.
  server.on_message([&](message m) {
    if (!std::exchange(first, false)) return;
    const node& asker = askers[m.header().size() - 1];
    const peer from = m.from();
    const bool sleeps = !readable(asker, 0ms);
    m.let_go();
    from.send(alone).detach();
    asleep += sleeps;
    woken += sleeps && readable(asker, 0ms);
  });
  const std::array<std::string_view, 2> names{"1", "22"};
  const std::array<peer, 2> peers{askers[0].at(server.addresses().front()), askers[1].at(server.addresses().front())};
  const auto put_to_sleep = [&] {
    look_around(server, askers[0], askers[1]);
    for (node& n : askers) fall_asleep(n);
  };
  for (int i = 0; i < rounds; ++i) {
    for (int n = 0; n < 2; ++n) {
      REQUIRE(ends(peers[n].send(names[n]), server, askers[n]));
      put_to_sleep();
    }
    first = true;
    auto one = peers[0].send(names[0]);
    auto two = peers[1].send(names[1]);
    REQUIRE(ends(one, server, askers[0], askers[1]));
    REQUIRE(ends(two, server, askers[0], askers[1]));
    put_to_sleep();
  }
  CHECK(asleep > rounds / 2);
  CHECK(2 * woken > asleep);
}

TEST_CASE("what a burst asked for leaves before the handler of a message that comes alone runs") {
  constexpr int rounds = 41;
  constexpr std::size_t burst = 6;
  peer from_quick;
  std::vector<op<done>> many;
  std::optional<op<done>> lone;
  std::size_t handled = 0;
  int told = 0, ran = 0;
  bool counts = false;
  node quick(silent()), other(silent()), server(silent({near_by("lone-burst")}));
  server.on_message([&](message m) {
    if (!counts) return;
    if (is(m, beside)) {
      // The message that comes alone is there at the next look, and not before.
      if (++handled == burst) lone.emplace(from_quick.send(alone));
      return;
    }
    ++ran;
    for (int i = 0; i < 4; ++i) other.poll();
    std::size_t over = 0;
    for (const auto& o : many) over += o.ready();
    told += over == burst;
  });
  from_quick = quick.at(server.addresses().front());
  const peer from_other = other.at(server.addresses().front());
  REQUIRE(ends(from_other.send(beside), server, other));
  for (int i = 0; i < rounds; ++i) {
    counts = false;
    REQUIRE(ends(from_quick.send(alone), server, quick));
    look_around(server, quick, other);
    handled = 0;
    lone.reset();
    many.clear();
    for (std::size_t n = 0; n < burst; ++n) many.push_back(from_other.send(beside));
    look_around(other);
    counts = true;
    REQUIRE(reaches([&] { return lone && lone->ready(); }, server, quick));
    for (const auto& o : many) REQUIRE(ends(o, server, other));
    look_around(server, quick, other);
  }
  CHECK(ran == rounds);
  CHECK(2 * told > ran);
}
