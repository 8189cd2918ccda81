// SPDX-License-Identifier: BSD-2-Clause
// PUTs that wait for somebody to take them.
#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

/// PUTs of so many bytes each, from a to b; `waiting` of them are at b's portal then.
struct queue_up {
  explicit queue_up(fake_net& net, std::initializer_list<std::size_t> lengths) : two(net) {
    REQUIRE(two.b->set_lazy_portal(3) == 0);
    for (const std::size_t length : lengths) {
      bytes.push_back(pattern(length, static_cast<unsigned>(length)));
      REQUIRE(two.a->put(nid::any(), bind(*two.a, memory(bytes.back(), mine, 0, 2)), ack_request::ack, host_b, 3, 1, 0,
                         length) == 0);
    }
    net.pump();
    for (std::size_t i = 0; i < lengths.size(); ++i) CHECK(mine.next(event_type::send).status == 0);
    CHECK(net.counts().eager == lengths.size());
    CHECK(net.counts().received == 0);
  }
  pair two;
  box mine, theirs;
  std::deque<std::vector<std::byte>> bytes;
};

}  // namespace

TEST_CASE("what waits is delivered in order once there is somewhere for it") {
  fake_net net(0);
  {
    queue_up q(net, {100, 200, 300});
    CHECK(q.two.b->stats().allocated == 3);
    std::vector<std::byte> space(1000);
    offer(*q.two.b, 3, 2, memory(space, q.theirs, md_op_put));  // somewhere else
    CHECK(q.theirs.empty());
    // Two at a time: the threshold.
    offer(*q.two.b, 3, 1, memory(space, q.theirs, md_op_put, 2));
    for (const std::size_t length : {100u, 200u}) {
      const event e = q.theirs.next(event_type::put);
      CHECK(e.mlength == length);
      CHECK(e.hdr_data == length);
      CHECK(e.unlinked == (length == 200));
    }
    CHECK(q.theirs.empty());
    CHECK(std::equal(q.bytes[0].begin(), q.bytes[0].end(), space.begin()));
    CHECK(std::equal(q.bytes[1].begin(), q.bytes[1].end(), space.begin() + 100));
    net.pump();
    CHECK(q.mine.next(event_type::ack).mlength == 100);
    CHECK(q.mine.next(event_type::ack).mlength == 200);
    CHECK(q.mine.empty());
    // The next is too long for who is there now, and goes.
    std::vector<std::byte> little(10);
    offer(*q.two.b, 3, 1, memory(little, q.theirs, md_op_put));
    CHECK(q.theirs.empty());
    CHECK(q.two.b->stats().dropped == 1);
    CHECK(net.counts().received == 3 + 2);  // and the two ACKs
    CHECK(net.counts().delayed == 2);
  }
  check_debts(net);
}

TEST_CASE("clearing a lazy portal drops what waits there, and what comes from then on") {
  fake_net net(0);
  {
    queue_up q(net, {10, 20});
    REQUIRE(q.two.b->clear_lazy_portal(3) == 0);
    CHECK(q.two.b->stats().dropped == 2);
    CHECK(q.two.b->stats().dropped_bytes == 30);
    CHECK(net.counts().discarded == 2);
    auto bytes = pattern(5);
    REQUIRE(q.two.a->put(nid::any(), bind(*q.two.a, memory(bytes, q.mine, 0, 1)), ack_request::no_ack, host_b, 3, 1, 0,
                         0) == 0);
    net.pump();
    CHECK(q.two.b->stats().dropped == 3);
    std::vector<std::byte> space(1000);
    offer(*q.two.b, 3, 1, memory(space, q.theirs, md_op_put));
    CHECK(q.theirs.empty());
  }
  check_debts(net);
}

TEST_CASE("a host or a net that goes drops what waits") {
  fake_net net(0);
  const bool whole = GENERATE(true, false);
  {
    queue_up q(net, {10, 20});
    if (whole)
      q.two.b.reset();
    else
      CHECK(q.two.b->net_delete({kind_tcp, 0}) == 0);
    CHECK(net.counts().discarded == 2);
  }
  check_debts(net);
}

TEST_CASE("over the loopback NI its sender waits with it") {
  host h({}, {});
  box mine, theirs;
  REQUIRE(h.set_lazy_portal(3) == 0);
  auto bytes = pattern(50);
  std::vector<std::byte> space(50);
  REQUIRE(h.put(nid::any(), bind(h, memory(bytes, mine, 0, 2)), ack_request::ack, self, 3, 1, 0, 0) == 0);
  CHECK(mine.empty());
  offer(h, 3, 1, memory(space, theirs, md_op_put));
  CHECK(theirs.next(event_type::put).mlength == 50);
  CHECK(mine.several(2).back().unlinked);
  CHECK(space == bytes);
}
