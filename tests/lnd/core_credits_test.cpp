// SPDX-License-Identifier: BSD-2-Clause
// Credits: who has none waits for his turn.
#include <cerrno>

#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

struct crowd {
  fake_net net{0};
  std::optional<host> h;
  box mine;
  std::vector<std::byte> bytes = pattern(10);
  std::vector<std::uint64_t> order;  ///< as the driver was given them

  crowd(unsigned credits, unsigned peer_credits) {
    host_options o = networks("tcp(10.0.0.1)");
    o.credits = credits;
    o.peer_credits = peer_credits;
    h.emplace(o, drivers(net.driver()));
    net.set_judge([this](const ni&, const header& m) {
      order.push_back(m.hdr_data);
      return fate{fate::lose, health_status::ok, 0, true};
    });
  }
  ~crowd() {
    h.reset();
    check_debts(net);
  }
  void put(const char* to, std::uint64_t number) {
    REQUIRE(h->put(nid::any(), bind(*h, memory(bytes, mine, 0, 1)), ack_request::no_ack, on(to), 1, 1, 0, number) == 0);
  }
  peer_ni_info peer(const char* who) {
    for (const auto& p : h->peers())
      if (p.primary == at(who)) return p.nis.at(0);
    FAIL("no such peer");
    return {};
  }
  /// Lets those that the driver has end, then takes what moves up.
  std::size_t turn() {
    const std::size_t n = net.release();
    net.pump();
    return n;
  }
};

using numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a peer has so many at a time, the rest goes in order") {
  crowd c(256, 2);
  for (std::uint64_t i = 0; i < 7; ++i) c.put("10.0.0.2@tcp", i);
  CHECK(c.order == numbers{0, 1});
  peer_ni_info p = c.peer("10.0.0.2@tcp");
  CHECK(p.credits == 2);
  CHECK(p.available_credits == -5);
  CHECK(p.least_credits == -5);
  CHECK(p.queued_bytes == 70);
  // Others are not held up.
  c.put("10.0.0.3@tcp", 100);
  CHECK(c.order.back() == 100);
  while (c.turn() != 0) {
  }
  CHECK(c.order == numbers{0, 1, 100, 2, 3, 4, 5, 6});
  for (const event& e : c.mine.several(8)) CHECK(e.status == 0);
  p = c.peer("10.0.0.2@tcp");
  CHECK(p.available_credits == 2);
  CHECK(p.least_credits == -5);
  CHECK(p.queued_bytes == 0);
  CHECK(p.stats.sent == 7);
  CHECK(c.h->stats().sent == 8);
  CHECK(c.h->stats().most_allocated == 8);
  CHECK(c.h->stats().allocated == 0);
}

TEST_CASE("an NI has so many at a time for all") {
  crowd c(3, 2);
  for (std::uint64_t i = 0; i < 4; ++i) {
    c.put("10.0.0.2@tcp", 20 + i);
    c.put("10.0.0.3@tcp", 30 + i);
  }
  // 31 has its peer's credit and waits for the NI's, 22 and 32 for their peers'.
  CHECK(c.order == numbers{20, 30, 21});
  ni_info n = c.h->nis().at(0);
  CHECK(n.credits == 3);
  CHECK(n.available_credits == 0);
  CHECK(n.least_credits == -1);
  while (c.turn() != 0) {
  }
  CHECK(c.order.size() == 8);
  for (const std::uint64_t to : {2u, 3u}) {
    numbers of_one;
    std::copy_if(c.order.begin(), c.order.end(), std::back_inserter(of_one), [&](auto x) { return x / 10 == to; });
    CHECK(of_one == numbers{10 * to, 10 * to + 1, 10 * to + 2, 10 * to + 3});
  }
  n = c.h->nis().at(0);
  CHECK(n.available_credits == 3);
  CHECK(n.least_credits < 0);
  CHECK(c.mine.several(8).size() == 8);
}

TEST_CASE("credits come back from messages that failed, at once or later") {
  crowd c(256, 1);
  int count = 0;
  c.net.set_judge([&](const ni&, const header&) {
    const auto what = ++count % 2 ? fate::fail : fate::refuse;
    return fate{what, health_status::remote_error, -EIO, false};
  });
  for (std::uint64_t i = 0; i < 100; ++i) c.put("10.0.0.2@tcp", i);
  c.net.pump();
  for (const event& e : c.mine.several(100)) {
    CHECK(e.status == -EIO);
    CHECK(e.unlinked);
  }
  CHECK(c.peer("10.0.0.2@tcp").available_credits == 1);
  CHECK(c.h->stats().errors == 100);
}

TEST_CASE("what has waited for too long is not sent any more") {
  fake_net net(0);
  host_options o = networks("tcp(10.0.0.1)");
  o.peer_credits = 1;
  o.transaction_timeout = 1s;
  std::optional<host> h{std::in_place, o, drivers(net.driver())};
  int begun = 0;
  net.set_judge([&](const ni&, const header&) {
    ++begun;
    return fate{fate::lose, health_status::ok, 0, true};
  });
  box mine;
  std::vector<std::byte> bytes(10);
  for (int i = 0; i < 3; ++i)
    REQUIRE(h->put(nid::any(), bind(*h, memory(bytes, mine, 0, 2)), ack_request::ack, host_b, 1, 1, 0, 0) == 0);
  // None was answered; then nothing is sent for them any more.
  for (int i = 0; i < 3; ++i) CHECK(mine.next(event_type::ack).status == -ETIMEDOUT);
  net.release();
  net.pump();
  int well = 0;
  for (const event& e : mine.several(3)) {
    CHECK(e.type == event_type::send);
    CHECK(e.unlinked);
    CHECK((e.status == 0 || e.status == -ETIMEDOUT));
    well += e.status == 0;
  }
  CHECK(well == 1);
  CHECK(begun == 1);
  CHECK(h->stats().timeouts == 5);
  CHECK(h->peers().at(0).nis.at(0).available_credits == 1);
  h.reset();
  check_debts(net);
}

TEST_CASE("a host that goes fails what still waits") {
  crowd c(256, 1);
  for (std::uint64_t i = 0; i < 5; ++i) c.put("10.0.0.2@tcp", i);
  const bool net_only = GENERATE(true, false);
  if (net_only)
    REQUIRE(c.h->net_delete({kind_tcp, 0}) == 0);
  else
    c.h.reset();
  const auto five = c.mine.several(5);
  CHECK(std::count_if(five.begin(), five.end(), [](const event& e) { return e.status != 0; }) == 5);
  CHECK(c.order == numbers{0});
  CHECK(c.mine.empty());
}
