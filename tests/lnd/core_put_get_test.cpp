// SPDX-License-Identifier: BSD-2-Clause
// PUT, ACK, GET and REPLY as both their users see them, over the loopback NI and between two hosts.
#include <atomic>
#include <cerrno>

#include "../base/seed.hpp"
#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

/// An initiator and a target, the same host or two.
struct scene {
  explicit scene(const std::string& way) : net(way == "lo" ? 0 : 2) {
    net.rdma = way == "rdma";
    net.late_receive = way == "late";
    if (way == "lo") {
      one.emplace(host_options{}, std::vector<driver_ptr>{});
      target = initiator = self;
    } else {
      two.emplace(net);
      target = host_b;
      initiator = host_a;
    }
  }
  ~scene() {
    one.reset();
    two.reset();
    check_debts(net);
  }
  host& from() { return one ? *one : *two->a; }
  host& to() { return one ? *one : *two->b; }

  fake_net net;
  std::optional<host> one;
  std::optional<pair> two;
  process_id target, initiator;
  box theirs, mine;
};

}  // namespace

#define EVERY_WAY GENERATE(as<std::string>(), "lo", "plain", "late", "rdma")

TEST_CASE("PUT with ACK: what each side is told") {
  scene s(EVERY_WAY);
  auto bytes = pattern(3000);
  std::vector<std::byte> space(4096);
  int tag = 0;
  auto d = memory(bytes, s.mine, 0, 2);
  d.user = &tag;
  const md_handle theirs = offer(s.to(), 9, 0x1234, memory(space, s.theirs, md_op_put | md_manage_remote));
  const md_handle mine = bind(s.from(), d);
  REQUIRE(s.from().put(nid::any(), mine, ack_request::ack, s.target, 9, 0x1234, 96, 0xfeed) == 0);

  const event put = s.theirs.next(event_type::put);
  CHECK(put.status == 0);
  CHECK(put.md == theirs);
  CHECK(put.initiator == s.initiator);
  CHECK(put.source == s.initiator.nid);
  CHECK(put.rlength == 3000);
  CHECK(put.mlength == 3000);
  CHECK(put.offset == 96);
  CHECK(put.hdr_data == 0xfeed);
  CHECK(put.portal == 9);
  CHECK(!put.unlinked);
  CHECK(std::equal(bytes.begin(), bytes.end(), space.begin() + 96));

  const auto two = s.mine.several(2);
  const event& send = of_type(two, event_type::send);
  const event& ack = of_type(two, event_type::ack);
  for (const event* e : {&send, &ack}) {
    CHECK(e->status == 0);
    CHECK(e->md == mine);
    CHECK(e->user == &tag);
    CHECK(e->match_bits == 0x1234);
    CHECK(e->mlength == 3000);
    CHECK(e->rlength == 3000);
    CHECK(e->initiator == s.target);
  }
  CHECK(!two[0].unlinked);
  CHECK(two[1].unlinked);
  CHECK(s.mine.empty());
}

TEST_CASE("no ACK comes where none is asked for, or the target has none sent") {
  scene s(EVERY_WAY);
  const bool asked = GENERATE(true, false);
  auto bytes = pattern(10);
  std::vector<std::byte> space(100);
  offer(s.to(), 9, 1, memory(space, s.theirs, asked ? md_op_put | md_ack_disable : md_op_put + 0u));
  const md_handle mine = bind(s.from(), memory(bytes, s.mine));
  const auto received = s.from().stats().received;
  REQUIRE(s.from().put(nid::any(), mine, asked ? ack_request::ack : ack_request::no_ack, s.target, 9, 1, 0, 0) == 0);
  s.mine.next(event_type::send);
  s.theirs.next(event_type::put);
  // Behind it, something that is answered: then the ACK would have been there.
  offer(s.to(), 9, 2, memory(space, s.theirs, md_op_get));
  std::vector<std::byte> sink(100);
  box other;
  REQUIRE(s.from().get(nid::any(), bind(s.from(), memory(sink, other, 0, 2)), s.target, 9, 2, 0) == 0);
  other.several(2);
  CHECK(s.mine.empty());
  REQUIRE(s.from().md_unlink(mine) == 0);
  CHECK(s.mine.next(event_type::unlink).unlinked);
  if (!s.one && !s.net.rdma) CHECK(s.from().stats().received == received + 1);
}

TEST_CASE("GET: the bytes, and how many there were") {
  scene s(EVERY_WAY);
  auto source = pattern(5000);
  std::vector<std::byte> sink(2000);
  offer(s.to(), 4, 8, memory(source, s.theirs, md_op_get | md_manage_remote | md_truncate));
  const auto get = [&](std::size_t offset, std::size_t expected) {
    std::fill(sink.begin(), sink.end(), std::byte{0xee});
    REQUIRE(s.from().get(nid::any(), bind(s.from(), memory(sink, s.mine, 0, 2)), s.target, 4, 8, offset) == 0);
    const event theirs = s.theirs.next(event_type::get);
    CHECK(theirs.rlength == 2000);
    CHECK(theirs.mlength == expected);
    CHECK(theirs.offset == offset);
    CHECK(theirs.status == 0);
    const auto two = s.mine.several(2);
    CHECK(of_type(two, event_type::send).status == 0);
    const event& reply = of_type(two, event_type::reply);
    CHECK(reply.status == 0);
    CHECK(reply.mlength == expected);
    CHECK(reply.initiator == s.target);
    CHECK(two[1].unlinked);
    CHECK(std::equal(sink.begin(), sink.begin() + static_cast<std::ptrdiff_t>(expected),
                     source.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(offset, 5000))));
    if (expected < sink.size()) CHECK(sink[expected] == std::byte{0xee});
  };
  get(0, 2000);
  get(3000, 2000);
  get(4000, 1000);
  get(5000, 0);
  CHECK(s.net.counts().types[msg_type::reply] == (s.one || s.net.rdma ? 0 : 4));
}

TEST_CASE("nothing at all can be put and got") {
  scene s(EVERY_WAY);
  std::vector<std::byte> nothing;
  offer(s.to(), 4, 8, memory(nothing, s.theirs, md_op_put | md_op_get));
  REQUIRE(s.from().put(nid::any(), bind(s.from(), memory(nothing, s.mine, 0, 2)), ack_request::ack, s.target, 4, 8, 0,
                       77) == 0);
  const event put = s.theirs.next(event_type::put);
  CHECK(put.hdr_data == 77);
  CHECK(put.mlength == 0);
  CHECK(of_type(s.mine.several(2), event_type::ack).mlength == 0);
  REQUIRE(s.from().get(nid::any(), bind(s.from(), memory(nothing, s.mine, 0, 2)), s.target, 4, 8, 0) == 0);
  CHECK(s.theirs.next(event_type::get).mlength == 0);
  CHECK(of_type(s.mine.several(2), event_type::reply).mlength == 0);
}

TEST_CASE("a MiB passes, in 256 fragments on both sides; a byte more does not") {
  scene s(EVERY_WAY);
  auto r = kfx_test::rng(kfx_test::seed("fragments"));
  auto bytes = pattern(mtu + 1), space = std::vector<std::byte>(mtu + 1);
  const auto pieces = [&](std::vector<std::byte>& of, std::size_t length) {
    std::vector<std::size_t> cuts{0, length};
    while (cuts.size() < max_fragments + 1) cuts.push_back(kfx_test::below(r, length + 1));
    std::sort(cuts.begin(), cuts.end());
    fragment_list list;
    for (std::size_t i = 0; i < max_fragments; ++i)
      list.push_back(std::span(of).subspan(cuts[i], cuts[i + 1] - cuts[i]));
    return list;
  };
  auto d = memory(space, s.theirs, md_op_put | md_op_get);
  d.memory = pieces(space, mtu);
  offer(s.to(), 4, 8, d);
  d = memory(bytes, s.mine, 0, 2);
  d.memory = pieces(bytes, mtu);
  REQUIRE(s.from().put(nid::any(), bind(s.from(), d), ack_request::ack, s.target, 4, 8, 0, 0) == 0);
  CHECK(of_type(s.mine.several(2), event_type::ack).mlength == mtu);
  CHECK(std::equal(bytes.begin(), bytes.end() - 1, space.begin()));
  CHECK(s.theirs.next(event_type::put).mlength == mtu);

  bytes = pattern(mtu + 1, 2);
  d = memory(bytes, s.theirs, md_op_get);
  d.memory = pieces(bytes, mtu);
  offer(s.to(), 4, 9, d);
  d = memory(space, s.mine, 0, 2);
  d.memory = pieces(space, mtu);
  REQUIRE(s.from().get(nid::any(), bind(s.from(), d), s.target, 4, 9, 0) == 0);
  CHECK(of_type(s.mine.several(2), event_type::reply).mlength == mtu);
  CHECK(std::equal(bytes.begin(), bytes.end() - 1, space.begin()));

  const md_handle large = bind(s.from(), memory(bytes, s.mine));
  CHECK(s.from().put(nid::any(), large, ack_request::no_ack, s.target, 4, 8, 0, 0) == -EMSGSIZE);
  CHECK(s.from().get(nid::any(), large, s.target, 4, 9, 0) == -EMSGSIZE);
}

TEST_CASE("a GET that matches nothing never waits") {
  scene s(EVERY_WAY);
  std::vector<std::byte> sink(100);
  REQUIRE(s.to().set_lazy_portal(4) == 0);
  const md_handle mine = bind(s.from(), memory(sink, s.mine, 0, 2));
  REQUIRE(s.from().get(nid::any(), mine, s.target, 4, 8, 0) == 0);
  CHECK(s.mine.next(event_type::send).status == 0);
  if (s.net.rdma) {
    const event reply = s.mine.next(event_type::reply);
    CHECK(reply.status == -ENODATA);
    CHECK(reply.unlinked);
  } else {
    REQUIRE(s.from().md_unlink(mine) == 0);
    CHECK(s.mine.next(event_type::unlink).unlinked);
  }
  CHECK(eventually([&] { return s.to().stats().dropped == 1; }));
  std::vector<std::byte> space(100);
  offer(s.to(), 4, 8, memory(space, s.theirs, md_op_get));
  CHECK(s.theirs.empty());
}

TEST_CASE("a threshold of one takes the SEND; the ACK has nobody left") {
  scene s(EVERY_WAY);
  auto bytes = pattern(10);
  std::vector<std::byte> space(100);
  offer(s.to(), 4, 8, memory(space, s.theirs, md_op_put));
  const md_handle mine = bind(s.from(), memory(bytes, s.mine, 0, 1));
  REQUIRE(s.from().put(nid::any(), mine, ack_request::ack, s.target, 4, 8, 0, 0) == 0);
  CHECK(s.mine.next(event_type::send).unlinked);
  s.theirs.next(event_type::put);
  CHECK(s.from().put(nid::any(), mine, ack_request::ack, s.target, 4, 8, 0, 0) == -ENOENT);
}

TEST_CASE("handlers may call back in, however long it goes on") {
  scene s(EVERY_WAY);
  // A token goes to and fro: each event puts the next.
  constexpr int rounds = 20000;
  struct player {
    host* h = nullptr;
    process_id other;
    std::vector<std::byte> bytes = std::vector<std::byte>(8), space = std::vector<std::byte>(8);
    md_handle mine{};
  } players[2];
  std::mutex mutex;
  std::condition_variable over;
  int count = 0;
  std::atomic<int> refused{0};
  players[0].h = &s.from();
  players[1].h = &s.to();
  players[0].other = s.target;
  players[1].other = s.initiator;
  const auto play = [&](player& p, std::uint64_t bits) {
    if (p.h->put(nid::any(), p.mine, ack_request::no_ack, p.other, 20, bits, 0, 0) != 0) ++refused;
  };
  for (int i = 0; i < 2; ++i) {
    memory_descriptor d;
    d.memory = {players[i].bytes};
    players[i].mine = bind(*players[i].h, d);
    d.memory = {players[i].space};
    d.options = md_op_put | md_manage_remote;
    d.events = std::make_shared<event_queue>([&, i](const event& e) {
      if (e.type != event_type::put) return;
      {
        std::lock_guard lock(mutex);
        if (++count >= rounds) return over.notify_one();
      }
      play(players[i], static_cast<std::uint64_t>(1 - i));
    });
    offer(*players[i].h, 20, static_cast<std::uint64_t>(i), d);
  }
  play(players[0], 1);
  std::unique_lock lock(mutex);
  CHECK(over.wait_for(lock, patience, [&] { return count >= rounds; }));
  CHECK(refused == 0);
}
