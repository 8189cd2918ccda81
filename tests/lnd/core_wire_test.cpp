// SPDX-License-Identifier: BSD-2-Clause
// Headers as nobody sends them who means well.
#include <cerrno>

#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

constexpr auto first = "10.0.0.1@tcp", second = "10.0.0.2@tcp";

header to_b(msg_type type, std::uint32_t payload = 0) {
  header h;
  h.type = type;
  h.dest_nid = at(second);
  h.src_nid = at(first);
  h.dest_pid = h.src_pid = default_pid;
  h.payload_length = payload;
  h.portal = 3;
  h.match_bits = 1;
  return h;
}

struct target {
  fake_net net{0};
  std::optional<pair> two{std::in_place, net};
  box theirs, mine;
  std::vector<std::byte> space = std::vector<std::byte>(mtu);
  target() { offer(*two->b, 3, 1, memory(space, theirs, md_op_put | md_op_get | md_manage_remote | md_truncate)); }
  ~target() {
    two.reset();
    check_debts(net);
  }
  int inject(const header& h, const char* from = first) {
    return net.inject(at(second), h, at(from), std::vector<std::byte>(h.payload_length));
  }
};

}  // namespace

TEST_CASE("what breaks the protocol is told to the driver, and touches nothing") {
  target t;
  CHECK(t.inject(to_b(msg_type::put, mtu)) == 0);
  CHECK(t.theirs.next(event_type::put).mlength == mtu);
  std::vector<header> bad{to_b(msg_type::put, mtu + 1), to_b(msg_type::reply, mtu + 1),
                          to_b(msg_type::ack, 1),       to_b(msg_type::get, 1),
                          to_b(msg_type::hello),        to_b(static_cast<msg_type>(77))};
  header h = to_b(msg_type::get);
  h.length = mtu + 1;
  bad.push_back(h);
  h = to_b(msg_type::put);
  h.dest_nid = at("10.0.0.7@tcp");  // on our net, but not us
  bad.push_back(h);
  h.dest_nid = nid::loopback();  // ours, but not there
  bad.push_back(h);
  h = to_b(msg_type::put);
  h.src_nid = at("10.0.0.7@tcp");  // somebody else's name
  bad.push_back(h);
  for (const header& each : bad) {
    INFO(each.describe());
    CHECK(t.inject(each) == -EPROTO);
  }
  CHECK(t.inject(to_b(msg_type::put), "10.0.0.1@tcp1") == -EPROTO);
  CHECK(t.theirs.empty());
  CHECK(t.two->b->stats().received == 1);
  CHECK(t.net.counts().received == 1);
}

TEST_CASE("what is for somebody else is dropped and counted") {
  target t;
  header h = to_b(msg_type::put, 10);
  h.dest_nid = at("10.0.0.7@o2ib");
  CHECK(t.inject(h) == 0);
  h = to_b(msg_type::put, 10);
  h.src_nid = at("10.0.0.7@o2ib");
  CHECK(t.inject(h) == 0);
  CHECK(t.two->b->stats().routed == 2);
  h = to_b(msg_type::put, 10);
  h.dest_pid = 1;
  CHECK(t.inject(h) == 0);
  h = to_b(msg_type::put, 10);
  h.portal = portal_count;
  CHECK(t.inject(h) == 0);
  h = to_b(msg_type::get);
  h.portal = ~0u;
  CHECK(t.inject(h) == 0);
  const counters c = t.two->b->stats();
  CHECK(c.routed == 2);
  CHECK(c.dropped == 5);
  CHECK(c.dropped_bytes == 40);
  CHECK(c.received == 0);
  CHECK(t.net.counts().discarded == 5);
  CHECK(t.theirs.empty());
}

TEST_CASE("discarding goes on and on") {
  target t;
  for (int i = 0; i < 1000; ++i) {
    header h = to_b(i % 2 ? msg_type::put : msg_type::get, i % 2 ? 100 : 0);
    h.match_bits = 99;
    REQUIRE(t.inject(h) == 0);
  }
  CHECK(t.net.counts().discarded == 1000);
  CHECK(t.two->b->stats().allocated == 0);
}

TEST_CASE("ACKs and REPLYs find only what awaits them, once, in this life of the host") {
  target t;
  // What b's own PUT and GET are called on the wire.
  std::vector<header> sent;
  t.net.set_judge([&](const ni& n, const header& h) {
    if (n.nid == at(second)) sent.push_back(h);
    return fate{fate::lose};
  });
  auto bytes = pattern(100);
  std::vector<std::byte> sink(100, std::byte{0xee});
  const md_handle source = bind(*t.two->b, memory(bytes, t.mine));
  REQUIRE(t.two->b->put(nid::any(), source, ack_request::ack, host_a, 3, 1, 0, 0) == 0);
  const md_handle into = bind(*t.two->b, memory(sink, t.mine, 0, 2));
  REQUIRE(t.two->b->get(nid::any(), into, host_a, 3, 1, 0) == 0);
  t.net.pump();
  t.mine.several(2);
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].wmd.interface_cookie == sent[1].wmd.interface_cookie);

  header ack = to_b(msg_type::ack), reply = to_b(msg_type::reply, 60);
  ack.match_bits = 1;
  ack.length = 40;
  // Of another life, another object, another operation; longer than the sink.
  ack.wmd = sent[0].wmd;
  ++ack.wmd.interface_cookie;
  CHECK(t.inject(ack) == 0);
  ack.wmd = {sent[0].wmd.interface_cookie, 12345};
  CHECK(t.inject(ack) == 0);
  ack.wmd = {};
  CHECK(t.inject(ack) == 0);
  ack.wmd = sent[1].wmd;
  CHECK(t.inject(ack) == 0);
  reply.wmd = sent[0].wmd;
  CHECK(t.inject(reply) == 0);
  reply.wmd = sent[1].wmd;
  ++reply.wmd.interface_cookie;
  CHECK(t.inject(reply) == 0);
  reply.wmd = sent[1].wmd;
  reply.payload_length = 101;
  CHECK(t.inject(reply) == 0);
  CHECK(t.mine.empty());
  CHECK(t.two->b->stats().dropped == 7);

  ack.wmd = sent[0].wmd;
  reply.payload_length = 60;
  for (int twice = 0; twice < 2; ++twice) {
    CHECK(t.inject(ack) == 0);
    CHECK(t.inject(reply) == 0);
  }
  CHECK(t.mine.next(event_type::ack).mlength == 40);
  const event e = t.mine.next(event_type::reply);
  CHECK(e.mlength == 60);
  CHECK(e.unlinked);
  CHECK(sink[59] == std::byte{0});
  CHECK(sink[60] == std::byte{0xee});
  CHECK(t.mine.empty());
  CHECK(t.two->b->stats().dropped == 9);
}

TEST_CASE("each host, each life of it, has another cookie") {
  std::set<std::uint64_t> cookies;
  for (int i = 0; i < 4; ++i) {
    fake_net net(0);
    net.set_judge([&](const ni&, const header& h) {
      cookies.insert(h.wmd.interface_cookie);
      return fate{};
    });
    pair two(net);
    box mine;
    auto bytes = pattern(10);
    REQUIRE(two.a->put(nid::any(), bind(*two.a, memory(bytes, mine)), ack_request::ack, host_b, 3, 1, 0, 0) == 0);
  }
  CHECK(cookies.size() == 4);
}

TEST_CASE("what comes while an NI starts waits until it has") {
  fake_net net(0);
  int early = -1, wrong = -1;
  host h({}, drivers(net.driver()));
  box theirs;
  std::vector<std::byte> space(100);
  offer(h, 3, 1, memory(space, theirs, md_op_put));
  const bool fails = GENERATE(true, false);
  net.at_startup = [&](ni& n) {
    header good = to_b(msg_type::put, 10), bad = good;
    bad.src_nid = at("10.0.0.9@tcp");
    early = net.inject(n.nid, good, at(first), pattern(10));
    wrong = net.inject(n.nid, bad, at(first), pattern(10));
    CHECK(net.counts().received == 0);
    if (fails) n.max_tx_credits = 0;
    return 0;
  };
  std::string why;
  net_spec spec;
  spec.net = {kind_tcp, 0};
  spec.interfaces = {{"10.0.0.2", {}}};
  CHECK(h.net_add(spec, why) == (fails ? -EINVAL : 0));
  CHECK(early == 0);
  CHECK(wrong == 0);
  if (!fails) CHECK(theirs.next(event_type::put).mlength == 10);
  CHECK(theirs.empty());
  CHECK(net.counts().received == 2);
  CHECK(net.counts().discarded == (fails ? 2 : 1));
  check_debts(net);
}
