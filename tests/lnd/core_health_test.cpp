// SPDX-License-Identifier: BSD-2-Clause
// Failures: whose health they cost, which are tried again, and that users hear of each message once.
#include <atomic>
#include <cerrno>

#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

constexpr auto first = "10.0.0.1@tcp", second = "10.0.0.2@tcp";

struct judged {
  fake_net net{0};
  std::optional<pair> two;
  box mine, theirs;
  std::vector<std::byte> bytes = pattern(100), space = std::vector<std::byte>(100);
  std::vector<std::pair<nid, nid>> tries;  ///< of PUTs and GETs

  explicit judged(fate f, const char* nets_a = "tcp(10.0.0.1)", unsigned failures = 1) {
    host_options o;
    o.recovery_interval = 1h;  // not in these tests
    two.emplace(net, o, nets_a, "tcp(10.0.0.2)");
    offer(*two->b, 1, 1, memory(space, theirs, md_op_put | md_op_get | md_manage_remote));
    net.set_judge([this, f, failures](const ni&, const header& h) {
      if (h.type == msg_type::ack || h.type == msg_type::reply) return fate{};
      tries.emplace_back(h.src_nid, h.dest_nid);
      return tries.size() <= failures ? f : fate{};
    });
  }
  ~judged() {
    two.reset();
    check_debts(net);
  }
  void put() {
    REQUIRE(two->a->put(nid::any(), bind(*two->a, memory(bytes, mine, 0, 2)), ack_request::ack, host_b, 1, 1, 0, 0) ==
            0);
    net.pump();
  }
  void get() {
    REQUIRE(two->a->get(nid::any(), bind(*two->a, memory(bytes, mine, 0, 2)), host_b, 1, 1, 0) == 0);
    net.pump();
  }
  int ours(std::size_t i = 0) { return two->a->nis().at(i).health; }
  int peers() { return two->a->peers().at(0).nis.at(0).health; }
};

bool retryable(health_status h) {
  using enum health_status;
  return h == local_interrupt || h == local_dropped || h == local_aborted || h == local_no_route ||
         h == local_timeout || h == remote_dropped;
}

const std::vector<health_status> failures{health_status::local_interrupt, health_status::local_dropped,
                                          health_status::local_aborted,   health_status::local_no_route,
                                          health_status::local_error,     health_status::local_timeout,
                                          health_status::remote_error,    health_status::remote_dropped,
                                          health_status::remote_timeout,  health_status::network_timeout};

}  // namespace

TEST_CASE("every status costs whom it is about, and is tried again if that makes sense") {
  const auto what = GENERATE(fate::fail, fate::refuse);
  for (const health_status h : failures) {
    INFO(to_string(h));
    // For good.
    judged t(fate{what, h, -EIO}, "tcp(10.0.0.1)", 99);
    t.put();
    const event send = t.mine.next(event_type::send);
    CHECK(send.status == -EIO);
    CHECK(send.unlinked);
    CHECK(t.mine.empty());
    const int cost = retryable(h) ? 300 : 100;
    CHECK(t.tries.size() == (retryable(h) ? 3u : 1u));
    const bool local = h <= health_status::local_timeout, network = h == health_status::network_timeout;
    CHECK(t.ours() == 1000 - (local || network ? cost : 0));
    CHECK(t.peers() == 1000 - (local ? 0 : cost));
    const counters c = t.two->a->stats();
    CHECK(c.health.at(h) == t.tries.size());
    CHECK(c.errors == 1);
    CHECK(c.resends == t.tries.size() - 1);
    CHECK(c.sent == 0);
  }
}

TEST_CASE("what fails once and goes then is as if nothing had been") {
  const auto what = GENERATE(fate::fail, fate::refuse);
  const bool get = GENERATE(true, false);
  judged t(fate{what, health_status::local_timeout, -EIO});
  get ? t.get() : t.put();
  const auto two = t.mine.several(2);
  CHECK(of_type(two, event_type::send).status == 0);
  CHECK(of_type(two, get ? event_type::reply : event_type::ack).status == 0);
  CHECK(two[1].unlinked);
  CHECK(t.mine.empty());
  t.theirs.next(get ? event_type::get : event_type::put);
  CHECK(t.theirs.empty());
  CHECK(t.tries.size() == 2);
  // What is sent and what comes makes well again.
  CHECK(t.ours() == 1000);
  CHECK(t.two->a->stats().errors == 0);
}

TEST_CASE("ACKs and REPLYs are tried again too") {
  fake_net net(0);
  const auto type = GENERATE(msg_type::ack, msg_type::reply);
  std::size_t tries = 0;
  {
    pair two(net);
    net.set_judge([&](const ni&, const header& h) {
      if (h.type != type) return fate{};
      return ++tries < 3 ? fate{fate::fail, health_status::remote_dropped} : fate{};
    });
    box mine, theirs;
    std::vector<std::byte> bytes(10), space(10);
    offer(*two.b, 1, 1, memory(space, theirs, md_op_put | md_op_get));
    const md_handle d = bind(*two.a, memory(bytes, mine, 0, 2));
    REQUIRE((type == msg_type::ack ? two.a->put(nid::any(), d, ack_request::ack, host_b, 1, 1, 0, 0)
                                   : two.a->get(nid::any(), d, host_b, 1, 1, 0)) == 0);
    net.pump();
    CHECK(mine.several(2).back().unlinked);
    CHECK(theirs.next().status == 0);
    CHECK(theirs.empty());
    CHECK(tries == 3);
  }
  check_debts(net);
}

TEST_CASE("another try goes over another NI, and to another of the peer's") {
  fake_net net(0);
  std::vector<std::pair<nid, nid>> tries;
  {
    host_options o;
    o.recovery_interval = 1h;
    pair two(net, o, "tcp(10.0.0.1,10.0.0.3)", "tcp(10.0.0.2,10.0.0.4)");
    const bool known = GENERATE(true, false);
    if (known) REQUIRE(two.a->peer_add(at(second), {at("10.0.0.4@tcp")}) == 0);
    net.set_judge([&](const ni&, const header& h) {
      if (h.type == msg_type::ack) return fate{};
      tries.emplace_back(h.src_nid, h.dest_nid);
      return tries.size() == 1 ? fate{fate::fail, health_status::local_aborted} : fate{};
    });
    box mine, theirs;
    std::vector<std::byte> bytes(10), space(10);
    offer(*two.b, 1, 1, memory(space, theirs, md_op_put));
    REQUIRE(two.a->put(nid::any(), bind(*two.a, memory(bytes, mine, 0, 2)), ack_request::ack, host_b, 1, 1, 0, 0) == 0);
    net.pump();
    CHECK(mine.several(2).back().unlinked);
    REQUIRE(tries.size() == 2);
    CHECK(tries[0].first != tries[1].first);
    CHECK((tries[0].second != tries[1].second) == known);
    CHECK(theirs.next(event_type::put).initiator.nid == tries[1].first);
  }
  check_debts(net);
}

TEST_CASE("the healthier way is taken, then the emptier, then each in turn") {
  fake_net net(0);
  std::map<nid, int> used;
  {
    host_options o;
    o.recovery_interval = 1h;
    pair two(net, o, "tcp(10.0.0.1,10.0.0.3)", "tcp(10.0.0.2)");
    bool hold = false;
    net.set_judge([&](const ni& n, const header&) {
      ++used[n.nid];
      return fate{fate::lose, health_status::ok, 0, hold};
    });
    box mine;
    std::vector<std::byte> bytes(10);
    const md_handle d = bind(*two.a, memory(bytes, mine));
    const auto put = [&](nid over = nid::any()) {
      REQUIRE(two.a->put(over, d, ack_request::no_ack, host_b, 1, 1, 0, 0) == 0);
      net.pump();
    };
    for (int i = 0; i < 10; ++i) put();
    CHECK(used == std::map<nid, int>{{at(first), 5}, {at("10.0.0.3@tcp"), 5}});
    used.clear();
    for (int i = 0; i < 4; ++i) put(at("10.0.0.3@tcp"));
    CHECK(used == std::map<nid, int>{{at("10.0.0.3@tcp"), 4}});
    used.clear();
    hold = true;
    for (int i = 0; i < 6; ++i) put();
    CHECK(used == std::map<nid, int>{{at(first), 3}, {at("10.0.0.3@tcp"), 3}});
    used.clear();
    hold = false;
    REQUIRE(two.a->set_health(at(first), 500) == 0);
    for (int i = 0; i < 4; ++i) put();
    CHECK(used == std::map<nid, int>{{at("10.0.0.3@tcp"), 4}});
    CHECK(two.a->set_health(at("10.9.9.9@tcp"), 500) == -ENOENT);
    CHECK(two.a->set_health(at(first), 1001) == -EINVAL);
    net.release();
    net.pump();
  }
  check_debts(net);
}

TEST_CASE("an answer that never comes is given up, and comes too late then") {
  fake_net net(0);
  std::vector<header> held;
  {
    host_options o;
    o.transaction_timeout = 1s;
    pair two(net, o);
    net.set_judge([&](const ni&, const header& h) {
      if (h.type == msg_type::put || h.type == msg_type::get) return fate{};
      held.push_back(h);
      return fate{fate::lose};
    });
    box puts, gets, theirs;
    std::vector<std::byte> bytes(10), sink(10, std::byte{0xee}), space(10);
    offer(*two.b, 1, 1, memory(space, theirs, md_op_put | md_op_get | md_manage_remote));
    const md_handle lasting = bind(*two.a, memory(bytes, puts));
    REQUIRE(two.a->put(nid::any(), lasting, ack_request::ack, host_b, 1, 1, 0, 0) == 0);
    REQUIRE(two.a->get(nid::any(), bind(*two.a, memory(sink, gets, 0, 2)), host_b, 1, 1, 0) == 0);
    net.pump();
    CHECK(puts.next(event_type::send).status == 0);
    CHECK(gets.next(event_type::send).status == 0);
    const event ack = puts.next(event_type::ack), reply = gets.next(event_type::reply);
    CHECK(ack.status == -ETIMEDOUT);
    CHECK(!ack.unlinked);
    CHECK(reply.status == -ETIMEDOUT);
    CHECK(reply.unlinked);
    CHECK(two.a->stats().timeouts == 2);
    const auto dropped = two.a->stats().dropped;
    REQUIRE(held.size() == 2);
    for (const header& h : held)
      CHECK(net.inject(at(first), h, at(second), std::vector<std::byte>(h.payload_length)) == 0);
    CHECK(two.a->stats().dropped == dropped + 2);
    CHECK(sink[0] == std::byte{0xee});
    CHECK(puts.empty());
    CHECK(gets.empty());
  }
  check_debts(net);
}

TEST_CASE("what is not well is pinged until it is") {
  fake_net net(1);
  std::atomic<bool> broken{true};
  {
    host_options o;
    o.recovery_interval = 1ms;
    o.health_sensitivity = 500;
    pair two(net, o);
    const auto status = GENERATE(health_status::local_error, health_status::network_timeout);
    net.set_judge([&](const ni&, const header&) { return broken ? fate{fate::fail, status} : fate{}; });
    box mine;
    std::vector<std::byte> bytes(10);
    const md_handle d = bind(*two.a, memory(bytes, mine));
    const auto sick = [&] {
      return two.a->nis().at(0).health == 0 &&
             (status == health_status::local_error || two.a->peers().at(0).nis.at(0).health == 0);
    };
    while (!sick()) {
      REQUIRE(two.a->put(nid::any(), d, ack_request::no_ack, host_b, 1, 1, 0, 0) == 0);
      CHECK(mine.next(event_type::send).status != 0);
    }
    if (status == health_status::network_timeout) {
      CHECK(eventually([&] { return net.counts().peers_down > 0; }));
      CHECK(!two.a->peers().at(0).nis.at(0).up);
    }
    broken = false;
    CHECK(
        eventually([&] { return two.a->nis().at(0).health == 1000 && two.a->peers().at(0).nis.at(0).health == 1000; }));
    CHECK(two.a->peers().at(0).nis.at(0).up);
  }
  check_debts(net);
}

TEST_CASE("without sensitivity health is left alone, and drivers' word is taken on peers") {
  fake_net net(0);
  {
    host_options o;
    o.health_sensitivity = 0;
    pair two(net, o);
    net.set_judge([](const ni&, const header&) { return fate{fate::fail, health_status::network_timeout}; });
    box mine;
    std::vector<std::byte> bytes(10);
    REQUIRE(two.a->put(nid::any(), bind(*two.a, memory(bytes, mine)), ack_request::no_ack, host_b, 1, 1, 0, 0) == 0);
    net.pump();
    CHECK(mine.next(event_type::send).status != 0);
    CHECK(two.a->nis().at(0).health == 1000);
    CHECK(two.a->peers().at(0).nis.at(0).health == 1000);
    net.tell(at(first), at(second), false);
    CHECK(!two.a->peers().at(0).nis.at(0).up);
    net.tell(at(first), at(second), true);
    CHECK(two.a->peers().at(0).nis.at(0).up);
  }
  check_debts(net);
}
