// SPDX-License-Identifier: BSD-2-Clause
// Hosts, nets, peers and memory come and go.
#include <atomic>
#include <cerrno>
#include <system_error>

#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

std::string refusal(const host_options& o, std::vector<driver_ptr> d) {
  try {
    host h(o, std::move(d));
  } catch (const std::system_error& e) {
    CHECK(e.code().value() > 0);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("memory that is busy goes with its last message") {
  fake_net net(0);
  box mine, theirs;
  {
    pair two(net);
    std::vector<std::byte> bytes = pattern(10), space(10);
    // The initiator's, while the driver has it; the ACK finds nobody then.
    net.set_judge([](const ni&, const header& h) { return fate{fate::deliver, {}, 0, h.type == msg_type::put}; });
    const md_handle taking = offer(*two.b, 1, 1, memory(space, theirs, md_op_put));
    const md_handle mine_handle = bind(*two.a, memory(bytes, mine));
    REQUIRE(two.a->put(nid::any(), mine_handle, ack_request::ack, host_b, 1, 1, 0, 0) == 0);
    REQUIRE(two.a->md_unlink(mine_handle) == 0);
    CHECK(two.a->md_unlink(mine_handle) == -ENOENT);
    CHECK(two.a->put(nid::any(), mine_handle, ack_request::ack, host_b, 1, 1, 0, 0) == -ENOENT);
    CHECK(mine.empty());
    // The target's, between lnd_recv and its end.
    net.late_receive = true;
    net.release();
    while (net.counts().received == 0) net.pump_one();
    REQUIRE(two.b->md_unlink(taking) == 0);
    CHECK(theirs.empty());
    net.pump();
    const event put = theirs.next(event_type::put);
    CHECK(put.unlinked);
    CHECK(put.mlength == 10);
    const event send = mine.next(event_type::send);
    CHECK(send.unlinked);
    CHECK(two.a->stats().dropped == 1);
    // Nothing under way: at once, though an ACK is awaited.
    net.set_judge([](const ni&, const header&) { return fate{fate::lose}; });
    const md_handle waiting = bind(*two.a, memory(bytes, mine));
    REQUIRE(two.a->put(nid::any(), waiting, ack_request::ack, host_b, 1, 1, 0, 0) == 0);
    net.pump();
    CHECK(!mine.next(event_type::send).unlinked);
    REQUIRE(two.a->md_unlink(waiting) == 0);
    CHECK(mine.next(event_type::unlink).unlinked);
  }
  CHECK(mine.empty());
  CHECK(theirs.empty());
  check_debts(net);
}

TEST_CASE("a host that goes ends everything, and tells of nothing afterwards") {
  fake_net net(2);
  net.late_receive = true;
  std::atomic<int> alive{0}, events{0}, late{0};
  std::atomic<bool> over{false};
  std::vector<std::byte> bytes = pattern(1000), space(1000), source = pattern(50);
  for (int round = 0; round < 50; ++round) {
    {
      host_options o;
      o.peer_credits = 2;
      pair two(net, o);
      over = false;
      const auto queue = std::make_shared<event_queue>([&](const event& e) {
        if (over) ++late;
        ++events;
        if (e.unlinked) --alive;
      });
      memory_descriptor d;
      d.events = queue;
      d.memory = {space};
      d.options = md_op_put | md_manage_remote;
      offer(*two.b, 1, 1, d);
      d.memory = {source};
      d.options = md_op_get | md_manage_remote;
      offer(*two.b, 3, 1, d);
      alive += 2;
      REQUIRE(two.b->set_lazy_portal(2) == 0);
      for (std::uint64_t i = 0; i < 20; ++i) {
        d.memory = {std::span(bytes).subspan(i * 50, 50)};
        const md_handle m = bind(*two.a, d);
        ++alive;
        if (i % 3 == 0)
          REQUIRE(two.a->get(nid::any(), m, host_b, 3, 1, 0) == 0);
        else
          REQUIRE(two.a->put(nid::any(), m, ack_request::ack, host_b, i % 3, 1, i * 50, 0) == 0);
      }
      if (round % 2)
        two.a.reset();
      else
        two.b.reset();
    }
    over = true;
    CHECK(alive == 0);
  }
  CHECK(late == 0);
  CHECK(events > 50 * 20);
  check_debts(net);
}

TEST_CASE("a host that cannot start says why") {
  fake_net net(0);
  CHECK(refusal(networks("tcp("), {}).find("networks") != std::string::npos);
  CHECK(refusal(networks("tcp(10.0.0.1)"), {}).find("driver") != std::string::npos);
  CHECK(refusal(networks("tcp(nowhere)"), drivers(net.driver())).find("nowhere") != std::string::npos);
  CHECK(refusal(networks("tcp(10.0.0.1)[7]"), drivers(net.driver())).find("CPT 7") != std::string::npos);
  host_options o = networks("tcp(10.0.0.1)");
  o.credits = 0;
  CHECK(refusal(o, drivers(net.driver())).find("credits") != std::string::npos);
  o = networks("");
  o.cpu_pattern = "0[99999]";
  CHECK(refusal(o, {}).find("CPU") != std::string::npos);
  check_debts(net);
}

TEST_CASE("nets come and go") {
  fake_net net(0);
  host h(networks("tcp(10.0.0.1,10.0.0.3)"), drivers(net.driver()));
  CHECK(h.nis().size() == 3);
  CHECK(h.id(0) == host_a);
  CHECK(h.id(1) == on("10.0.0.3@tcp"));
  CHECK(h.id(2) == self);
  CHECK(h.id(3).nid.is_any());
  std::string why;
  net_spec spec;
  spec.net = {kind_tcp, 1};
  spec.interfaces = {{"10.0.1.1", {}}};
  REQUIRE(h.net_add(spec, why) == 0);
  CHECK(h.net_add(spec, why) == -EEXIST);
  CHECK(why.find("tcp1") != std::string::npos);
  CHECK(h.id(2) == on("10.0.1.1@tcp1"));
  spec.net = {kind_gni, 0};
  CHECK(h.net_add(spec, why) == -ENODEV);
  spec.net = {kind_tcp, 2};
  spec.interfaces = {{"10.0.2.1", {}}, {"10.0.2.1", {}}};
  CHECK(h.net_add(spec, why) == -EEXIST);
  CHECK(h.nis().size() == 4);
  control c;
  c.what = control::describe;
  REQUIRE(h.control({kind_tcp, 0}, c) == 0);
  CHECK(c.answer == std::vector<std::string>{"10.0.0.1@tcp", "10.0.0.3@tcp"});
  c.what = control::peer_list;
  CHECK(h.control({kind_tcp, 0}, c) == -EINVAL);
  CHECK(h.control({kind_tcp, 9}, c) == -ENOENT);
  CHECK(h.net_delete({kind_tcp, 9}) == -ENOENT);
  CHECK(h.net_delete({kind_lo, 0}) == -EINVAL);
  REQUIRE(h.net_delete({kind_tcp, 0}) == 0);
  CHECK(h.id(0) == on("10.0.1.1@tcp1"));
  box mine;
  auto bytes = pattern(10);
  CHECK(h.put(nid::any(), bind(h, memory(bytes, mine)), ack_request::no_ack, host_b, 1, 1, 0, 0) == -EHOSTUNREACH);
  check_debts(net);
}

TEST_CASE("what is under way moves over to another NI when one goes") {
  fake_net net(0);
  {
    host_options o;
    o.peer_credits = 1;
    pair two(net, o, "tcp(10.0.0.1),tcp1(10.0.0.1)", "tcp(10.0.0.2),tcp1(10.0.0.2)");
    REQUIRE(two.a->peer_add(host_b.nid, {at("10.0.0.2@tcp1")}) == 0);
    std::vector<nid> over;
    net.set_judge([&](const ni& n, const header&) {
      over.push_back(n.nid);
      return fate{fate::lose, {}, 0, true};
    });
    box mine;
    auto bytes = pattern(10);
    const md_handle d = bind(*two.a, memory(bytes, mine));
    for (int i = 0; i < 4; ++i) REQUIRE(two.a->put(nid::any(), d, ack_request::no_ack, host_b, 1, 1, 0, 0) == 0);
    CHECK(over.size() == 2);
    net.set_judge({});
    REQUIRE(two.a->net_delete({kind_tcp, 0}) == 0);
    net.release();
    net.pump();
    for (const event& e : mine.several(4)) CHECK(e.status == 0);
    CHECK(two.b->stats().dropped == 3);  // nobody wants them, but they came
  }
  check_debts(net);
}

TEST_CASE("a ping tells who is there, and that they are one") {
  fake_net net(1);
  {
    pair two(net, {}, "tcp(10.0.0.1),tcp1(10.0.1.1)", "tcp(10.0.0.2,10.0.0.4),tcp1(10.0.1.2),tcp2(10.0.2.2)");
    std::vector<nid> found;
    CHECK(two.a->ping(at("10.0.0.4@tcp"), patience, found) == 0);
    const std::vector<nid> all{at("10.0.0.2@tcp"), at("10.0.0.4@tcp"), at("10.0.1.2@tcp1"), at("10.0.2.2@tcp2")};
    CHECK(found == all);
    const auto peers = two.a->peers();
    REQUIRE(peers.size() == 1);
    CHECK(peers[0].primary == at("10.0.0.2@tcp"));
    CHECK(peers[0].nis.size() == 3);
    found.clear();
    CHECK(two.a->ping(nid::loopback(), patience, found) == 0);
    CHECK(found == std::vector<nid>{at("10.0.0.1@tcp"), at("10.0.1.1@tcp1")});
    CHECK(two.a->ping(at("10.0.9.9@o2ib"), patience, found) == -EHOSTUNREACH);
    CHECK(two.a->ping(at("10.0.0.9@tcp"), patience, found) == -ECONNREFUSED);
    net.set_judge([](const ni&, const header&) { return fate{fate::lose}; });
    CHECK(two.a->ping(at("10.0.0.2@tcp"), 1ms, found) == -ETIMEDOUT);
    // Ours are what they were after a net has gone.
    net.set_judge({});
    REQUIRE(two.b->net_delete({kind_tcp, 1}) == 0);
    CHECK(two.a->ping(at("10.0.0.2@tcp"), patience, found) == 0);
    CHECK(found == std::vector<nid>{all[0], all[1], all[3]});
  }
  check_debts(net);
}

TEST_CASE("peers are made one and taken apart") {
  fake_net net(0);
  host h(networks("tcp(10.0.0.1)"), drivers(net.driver()));
  const nid x = at("10.0.0.2@tcp"), y = at("10.0.0.3@tcp"), z = at("10.0.0.4@tcp");
  CHECK(h.peer_add(at("10.0.0.2@o2ib"), {}) == -EINVAL);
  CHECK(h.peer_add(x, {at("10.0.0.2@o2ib")}) == -EINVAL);
  CHECK(h.peer_add(x, {at("10.0.0.1@tcp")}) == -EINVAL);
  REQUIRE(h.peer_add(x, {y, z}) == 0);
  REQUIRE(h.peers().size() == 1);
  REQUIRE(h.peer_add(z, {}) == 0);
  CHECK(h.peers().at(0).primary == z);
  CHECK(h.peer_delete(x) == -ENOENT);
  REQUIRE(h.peer_delete(z) == 0);
  CHECK(h.peers().size() == 3);
  REQUIRE(h.peer_add(x, {y}) == 0);
  REQUIRE(h.peer_add(z, {y}) == 0);
  CHECK(h.peers().size() == 2);
  // Who comes from one of its NIs is known by the first.
  box theirs;
  std::vector<std::byte> space(10);
  me_handle e = attach_me(h, 1, 1, 0, on(z));
  md_handle d;
  REQUIRE(h.md_attach(e, memory(space, theirs, md_op_put), unlink_op::unlink, d) == 0);
  header m;
  m.type = msg_type::put;
  m.dest_nid = at("10.0.0.1@tcp");
  m.src_nid = y;
  m.src_pid = m.dest_pid = default_pid;
  m.portal = 1;
  m.match_bits = 1;
  REQUIRE(net.inject(m.dest_nid, m, y) == 0);
  const event put = theirs.next(event_type::put);
  CHECK(put.initiator == on(z));
  CHECK(put.source == y);
  check_debts(net);
}

TEST_CASE("one's own NID is reached over the loopback NI") {
  fake_net net(0);
  host h(networks("tcp(10.0.0.1)"), drivers(net.driver()));
  box mine, theirs;
  auto bytes = pattern(10);
  std::vector<std::byte> space(10);
  offer(h, 1, 1, memory(space, theirs, md_op_put));
  REQUIRE(h.put(nid::any(), bind(h, memory(bytes, mine, 0, 2)), ack_request::ack, host_a, 1, 1, 0, 0) == 0);
  CHECK(theirs.next(event_type::put).source == nid::loopback());
  CHECK(mine.several(2).back().unlinked);
  CHECK(net.counts().sent == 0);
}

TEST_CASE("counters start over") {
  fake_net net(0);
  pair two(net);
  box mine;
  auto bytes = pattern(10);
  REQUIRE(two.a->put(nid::any(), bind(*two.a, memory(bytes, mine)), ack_request::no_ack, host_b, 1, 1, 0, 0) == 0);
  net.pump();
  CHECK(two.a->stats().sent_bytes == 10);
  CHECK(two.a->nis().at(0).stats.sent == 1);
  CHECK(two.a->peers().at(0).nis.at(0).stats.sent == 1);
  CHECK(two.b->stats().dropped == 1);
  two.a->reset_stats();
  const counters c = two.a->stats();
  CHECK(c.sent + c.sent_bytes + c.most_allocated == 0);
  CHECK(two.a->peers().at(0).nis.at(0).stats.sent == 0);
}
