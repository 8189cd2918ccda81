// SPDX-License-Identifier: BSD-2-Clause
// Clients and servers, without consoles.
#include "selftest_fixture.hpp"

using namespace lnd_test;

namespace {

/// All RPCs of a test came, and both sides counted the same.
void all_good(client& c, const node& server, const test_request& t, std::size_t pairs = 1) {
  const node_statistics before = server.statistics();
  const test_result r = c.run();
  const node_statistics after = server.statistics();
  const std::uint64_t rpcs = t.loop * t.concurrency * pairs;
  CHECK(r.completed == rpcs);
  CHECK(r.failed == 0);
  CHECK(r.active == 0);
  CHECK(r.bytes == (t.operation == operation_kind::ping ? 0 : rpcs * t.size));
  CHECK(r.elapsed_us > 0);
  CHECK(after.rpcs_received - before.rpcs_received == rpcs);
  CHECK(c.counts().rpcs_sent == rpcs);
  CHECK(c.counts().rpcs_completed == rpcs);
  CHECK(c.counts().errors == 0);
  CHECK(after.dropped == before.dropped);
  const std::uint64_t bytes = r.bytes;
  const bool read = t.operation == operation_kind::read;
  CHECK((read ? after.bytes_sent - before.bytes_sent : after.bytes_received - before.bytes_received) == bytes);
  CHECK((read ? c.counts().bytes_received : c.counts().bytes_sent) == bytes);
}

}  // namespace

TEST_CASE("a node tests itself over the loopback NI") {
  const auto n = make_lone_node();
  for (const std::uint32_t concurrency : {1, 4, 16}) {
    for (const test_request& t : {pings(300, concurrency), brw(operation_kind::read, check::full, mtu, 6, concurrency),
                                  brw(operation_kind::write, check::full, mtu, 6, concurrency),
                                  brw(operation_kind::read, check::simple, 4096, 50, concurrency),
                                  brw(operation_kind::write, check::none, 1, 50, concurrency)}) {
      INFO(to_string(t.operation) << " " << to_string(t.check) << " " << t.size << ", " << concurrency << " at a time");
      client c(*n, t);
      all_good(c, *n, t);
    }
  }
}

TEST_CASE("nodes test one another") {
  for (const bool rdma : {false, true}) {
    fake_net net(2);
    net.rdma = rdma;
    net.shuffle = true;
    {
      const auto server = make_node(net, 1), asker = make_node(net, 2);
      for (const std::uint32_t concurrency : {1, 16}) {
        for (test_request t : {pings(100, concurrency), brw(operation_kind::read, check::full, mtu, 4, concurrency),
                               brw(operation_kind::write, check::full, mtu, 4, concurrency),
                               brw(operation_kind::read, check::full, 1001, 20, concurrency),
                               brw(operation_kind::write, check::simple, 8, 20, concurrency)}) {
          INFO(to_string(t.operation) << " " << t.size << ", " << concurrency << " at a time, rdma " << rdma);
          t.servers = {number(1)};
          t.offset = t.size < mtu ? 40 : 0;
          client c(*asker, t);
          all_good(c, *server, t);
        }
      }
    }
    check_debts(net);
  }
}

TEST_CASE("two nodes test one another at once, and themselves") {
  fake_net net(2);
  net.shuffle = true;
  {
    const auto a = make_node(net, 1), b = make_node(net, 2);
    test_request to_a = brw(operation_kind::read, check::full, 65536, 20, 8), to_b = to_a;
    to_a.servers = {number(1), number(2)};
    to_b.servers = {number(2), number(1)};
    to_b.operation = operation_kind::write;
    client from_b(*b, to_a), from_a(*a, to_b), more(*a, to_a);
    from_a.start();
    from_b.start();
    more.start();
    for (client* c : {&from_a, &from_b, &more}) {
      const test_result r = c->to_the_end();
      CHECK(r.completed == 2 * 20 * 8);
      CHECK(r.failed == 0);
    }
    CHECK(a->statistics().rpcs_received + b->statistics().rpcs_received == 3 * 2 * 20 * 8);
  }
  check_debts(net);
}

TEST_CASE("a test goes on until it is stopped, and can be run again") {
  const auto n = make_lone_node();
  client c(*n, pings(0, 4));
  c.start();
  REQUIRE(until([&] { return c.result().completed > 1000; }));
  CHECK(c.result().active == 4);
  c.stop();
  const test_result first = c.to_the_end();
  CHECK(first.completed >= 1000);
  CHECK(first.failed == 0);
  c.start();
  REQUIRE(until([&] { return c.result().completed > 10; }));
  c.stop();
  c.to_the_end();
}

TEST_CASE("a corrupted bulk is found and counted, and the test goes on") {
  for (const auto operation : {operation_kind::read, operation_kind::write}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{70001}, std::size_t{mtu - 1}}) {
      const auto n = make_lone_node({.corrupt_nth = 5, .corrupt_at = at});
      INFO(to_string(operation) << ", byte " << at);
      client c(*n, brw(operation, check::full, mtu, 5, 2));
      const test_result r = c.run();
      CHECK(r.corrupt == 1);
      CHECK(r.failed == 1);
      CHECK(r.expired == 0);
      CHECK(r.completed == 9);
      CHECK(c.counts().brw_errors == 1);
      // Once only: what follows is good again.
      CHECK(c.run().failed == 0);
    }
    // Simple sees the ends only.
    for (const auto& [at, found] : {std::pair<std::size_t, unsigned>{3, 1}, {4095, 1}, {2000, 0}}) {
      const auto n = make_lone_node({.corrupt_nth = 2, .corrupt_at = at});
      client c(*n, brw(operation, check::simple, 4096, 5));
      CHECK(c.run().corrupt == found);
    }
  }
}

TEST_CASE("bulk that never was moved is no good because an earlier one was") {
  // The net says of one brw's bytes that they are sent, and the answer says so, too.
  std::atomic<unsigned> bulks{0};
  fake_net net(2);
  {
    const auto server = make_node(net, 1), asker = make_node(net, 2);
    net.set_judge([&](const ni&, const header& h) {
      const bool bulk = h.type == msg_type::put && h.portal == answer_portal && (h.match_bits & 1);
      return bulk && ++bulks == 3 ? fate{.what = fate::lose} : fate{};
    });
    test_request t = brw(operation_kind::read, check::full, 65536, 5);
    t.servers = {number(1)};
    t.rpc_timeout_ms = 300;
    client c(*asker, t);
    const test_result r = c.run();
    CHECK(r.expired >= 1);  // more where the machine is slow
    CHECK(r.completed + r.expired == 5);
    CHECK(r.corrupt == 0);
  }
  check_debts(net);
}

TEST_CASE("RPCs that are not answered expire, and the test goes on") {
  std::atomic<bool> deaf{false};
  fake_net net(2);
  {
    const auto server = make_node(net, 1), asker = make_node(net, 2);
    net.set_judge([&](const ni&, const header& h) {
      return deaf && h.type == msg_type::put && h.portal == test_portal ? fate{.what = fate::lose} : fate{};
    });
    for (test_request t : {pings(0, 4), brw(operation_kind::read, check::full, 65536, 0, 4),
                           brw(operation_kind::write, check::full, 65536, 0, 4)}) {
      t.servers = {number(1)};
      t.rpc_timeout_ms = 200;
      client c(*asker, t);
      c.start();
      REQUIRE(until([&] { return c.result().completed > 20; }));
      deaf = true;
      REQUIRE(until([&] { return c.result().expired >= 8; }));
      deaf = false;
      const auto before = c.result().completed;
      REQUIRE(until([&] { return c.result().completed > before + 100; }));
      c.stop();
      const test_result r = c.to_the_end();
      CHECK(r.corrupt == 0);
      CHECK(c.counts().expired == r.expired);
      CHECK(c.counts().errors == r.failed);
    }
  }
  check_debts(net);
}

TEST_CASE("a late answer matches nothing") {
  std::atomic<bool> slow{true};
  fake_net net(2);
  {
    const auto server = make_node(net, 1), asker = make_node(net, 2);
    net.set_judge([&](const ni&, const header& h) {
      return slow && h.type == msg_type::put && h.portal == answer_portal ? fate{.hold = true} : fate{};
    });
    test_request t = pings(1, 4);
    t.servers = {number(1)};
    t.rpc_timeout_ms = 100;
    client c(*asker, t);
    CHECK(c.run().expired == 4);
    slow = false;
    const auto dropped = asker->lnet().stats().dropped;
    REQUIRE(until([&] { return net.held() == 4; }));
    net.release();
    REQUIRE(until([&] { return asker->lnet().stats().dropped == dropped + 4; }));
    t.rpc_timeout_ms = 60000;
    client again(*asker, t);
    CHECK(again.run().completed == 4);
  }
  check_debts(net);
}

TEST_CASE("a server that is killed and comes back is used again") {
  fake_net net(2);
  {
    auto server = make_node(net, 1);
    const auto asker = make_node(net, 2);
    for (test_request t : {pings(0, 8), brw(operation_kind::write, check::full, 262144, 0, 8)}) {
      t.servers = {number(1)};
      t.rpc_timeout_ms = 500;
      client c(*asker, t);
      c.start();
      REQUIRE(until([&] { return c.result().completed > 20; }));
      server.reset();
      const auto failed = c.result().failed;
      REQUIRE(until([&] { return c.result().failed >= failed + 16; }));
      server = make_node(net, 1);
      const auto before = c.result().completed;
      REQUIRE(until([&] { return c.result().completed > before + 50; }));
      c.stop();
      CHECK(c.to_the_end().corrupt == 0);
    }
  }
  check_debts(net);
}

TEST_CASE("brws wait for a server's memory, or are refused") {
  for (const auto operation : {operation_kind::read, operation_kind::write}) {
    std::atomic<bool> hold{true};
    fake_net net(2);
    {
      const auto asker = make_node(net, 2);
      test_request t = brw(operation, check::full, mtu, 4, 16);
      t.servers = {number(1)};
      {
        const auto server = make_node(net, 1, {.buffers = 2});
        client c(*asker, t);
        all_good(c, *server, t);
      }
      const auto server = make_node(net, 1, {.buffers = 1, .waiting = 0});
      net.set_judge([&](const ni&, const header& h) {
        const bool bulk =
            h.portal == answer_portal && (h.match_bits & 1) && (h.type == msg_type::put || h.type == msg_type::get);
        return hold && bulk ? fate{.hold = true} : fate{};
      });
      t.loop = 1;
      client c(*asker, t);
      c.start();
      REQUIRE(until([&] { return net.held() == 1 && c.result().failed == 15; }));
      hold = false;
      net.release();
      const test_result r = c.to_the_end();
      CHECK(r.completed == 1);
      CHECK(r.failed == 15);
      CHECK(r.expired == 0);
    }
    check_debts(net);
  }
}

namespace {

/// Sends these bytes as a request, from a host that is no selftest node.
void throw_at(host& from, nid whom, unsigned portal, std::vector<std::byte> bytes) {
  memory_descriptor d;
  if (!bytes.empty()) d.memory = {bytes};
  d.threshold = 1;
  d.events = std::make_shared<event_queue>();
  md_handle md;
  REQUIRE(from.md_bind(d, unlink_op::unlink, md) == 0);
  REQUIRE(from.put(nid::any(), md, ack_request::no_ack, {whom, default_pid}, portal, 0, 0, 0) == 0);
  REQUIRE(d.events->poll(patience_of_tests));
}

template <class Body>
std::vector<std::byte> request(kind k, const Body& body) {
  std::vector<std::byte> bytes(large_message);
  bytes.resize(encode(head{.kind = k, .rpc = 77, .patience_ms = 100}, body, bytes));
  return bytes;
}

}  // namespace

TEST_CASE("nonsense at a node's portals is dropped and counted") {
  fake_net net(2);
  {
    const auto server = make_node(net, 1), asker = make_node(net, 2);
    const auto stranger = make_host(net, 3);
    std::uint64_t bad = 0;
    for (const unsigned portal : {control_portal, test_portal}) {
      for (const std::size_t length : {0, 1, 55, 56, 128}) {
        throw_at(*stranger, number(1), portal, std::vector<std::byte>(length, std::byte{0x4c}));
        ++bad;
      }
      // Right, but for another portal.
      throw_at(*stranger, number(1), portal,
               portal == test_portal ? request(kind::status, empty_body{}) : request(kind::ping, ping_body{1}));
      ++bad;
    }
    throw_at(*stranger, number(1), test_portal,
             request(kind::brw, brw_request{operation_kind::read, check::full, mtu + 1, 0, 0}));
    ++bad;
    REQUIRE(until([&] { return server->statistics().dropped == bad; }));
    CHECK(server->statistics().rpcs_received == 0);
    // Longer than any request: LNet drops it, and the buffer is as good as before.
    throw_at(*stranger, number(1), test_portal, std::vector<std::byte>(small_message + 1));
    test_request t = pings(2000, 4);
    t.servers = {number(1)};
    client c(*asker, t);
    all_good(c, *server, t);
  }
  check_debts(net);
}

TEST_CASE("a server's memory comes back from clients that have none to offer") {
  fake_net net(2);
  {
    const auto server = make_node(net, 1, {.buffers = 1}), asker = make_node(net, 2);
    const auto stranger = make_host(net, 3);
    for (const auto o : {operation_kind::read, operation_kind::write}) {
      for (int i = 0; i < 3; ++i) {
        throw_at(*stranger, number(1), test_portal, request(kind::brw, brw_request{o, check::full, mtu, 0, 1}));
      }
      test_request t = brw(o, check::full, mtu, 3, 2);
      t.servers = {number(1)};
      client c(*asker, t);
      const test_result r = c.run();
      CHECK(r.completed == 6);
      CHECK(r.failed == 0);
    }
    CHECK(server->statistics().rpcs_received == 2 * (3 + 6));
  }
  check_debts(net);
}

TEST_CASE("a node ends while it serves and asks") {
  for (int round = 0; round < 5; ++round) {
    fake_net net(2);
    {
      auto server = make_node(net, 1);
      auto asker = make_node(net, 2);
      node_counters counters;
      test_request t = brw(operation_kind::write, check::full, 65536, 0, 8);
      t.servers = {number(1)};
      t.rpc_timeout_ms = 1000;
      auto run = std::make_shared<test_run>(asker->endpoint(), counters, t);
      asker->keep(run);
      REQUIRE(run->start({}));
      REQUIRE(until([&] { return run->result().completed > 50; }));
      run.reset();
      (round % 2 ? server : asker).reset();
      (round % 2 ? asker : server).reset();
    }
    check_debts(net);
  }
}
