// SPDX-License-Identifier: BSD-2-Clause
// GETs that the driver answers by itself: the GET and its REPLY, finalized one after the other in any way.
#include <cerrno>
#include <utility>

#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

/// A driver of one NI that leaves everything to the test.
struct by_hand final : lnet_lnd {
  struct shared {
    lnet::ni* ni = nullptr;
    std::vector<message*> sent;
    message* received = nullptr;
    void* cookie = nullptr;
    unsigned receives = 0;
  };
  explicit by_hand(shared& s) : s_(s) {}
  net_kind lnd_type() const noexcept override { return kind_tcp; }
  int lnd_startup(ni& n) override {
    s_.ni = &n;
    n.nid.address = at("10.0.0.1@tcp").address;
    return 0;
  }
  void lnd_shutdown(ni&) override {
    for (message* m : std::exchange(s_.sent, {})) {
      m->health = health_status::local_aborted;
      lnet_finalize(*m, -ESHUTDOWN);
    }
  }
  int lnd_send(ni&, void*, message& m) override {
    s_.sent.push_back(&m);
    return 0;
  }
  int lnd_recv(ni&, void* cookie, message* m, bool, std::span<const fragment>, std::size_t) override {
    s_.received = m;
    s_.cookie = cookie;
    ++s_.receives;
    return 0;
  }
  std::chrono::seconds lnd_get_timeout() const noexcept override { return std::chrono::seconds(1); }

 private:
  shared& s_;
};

struct getter {
  by_hand::shared d;
  std::vector<std::byte> sink = std::vector<std::byte>(100);
  box mine;
  std::optional<host> h;
  md_handle handle;
  getter() {
    host_options o = networks("tcp");
    o.recovery_interval = 1h;
    h.emplace(o, drivers(std::make_unique<by_hand>(d)));
    handle = bind(*h, memory(sink, mine, 0, 2));
    REQUIRE(h->get(nid::any(), handle, host_b, 1, 1, 0) == 0);
    REQUIRE(d.sent.size() == 1);
  }
  message& take() {
    message* const get = d.sent.at(0);
    d.sent.erase(d.sent.begin());
    return *get;
  }
  message& reply_to(message& get) {
    message* const reply = lnet_create_reply_msg(*d.ni, get);
    REQUIRE(reply);
    CHECK(reply->hdr.type == msg_type::reply);
    CHECK(length_of(reply->payload) == 100);
    CHECK(reply->payload.at(0).data() == sink.data());
    return *reply;
  }
  static void end(message& m, int status, health_status health = health_status::ok) {
    m.health = health;
    lnet_finalize(m, status);
  }
};

}  // namespace

TEST_CASE("a GET and its REPLY end well, in either order") {
  getter t;
  message& get = t.take();
  message& reply = t.reply_to(get);
  CHECK(lnet_create_reply_msg(*t.d.ni, get) == nullptr);
  lnet_set_reply_msg_len(*t.d.ni, reply, 40);
  const bool get_first = GENERATE(true, false);
  t.end(get_first ? get : reply, 0);
  CHECK(!t.mine.next(get_first ? event_type::send : event_type::reply).unlinked);
  t.end(get_first ? reply : get, 0);
  CHECK(t.mine.next(get_first ? event_type::reply : event_type::send).unlinked);
}

TEST_CASE("a GET that failed is tried again with all it had, once both have ended") {
  getter t;
  message& get = t.take();
  const wire_handle before = get.hdr.wmd;
  message& reply = t.reply_to(get);
  const bool get_first = GENERATE(true, false);
  t.end(get_first ? get : reply, -EIO, health_status::local_timeout);
  CHECK(t.d.sent.empty());
  t.end(get_first ? reply : get, -EIO, health_status::local_timeout);
  CHECK(t.mine.empty());
  REQUIRE(t.d.sent.size() == 1);
  message& again = t.take();
  CHECK(!(again.hdr.wmd == before));
  message& second = t.reply_to(again);
  lnet_set_reply_msg_len(*t.d.ni, second, 100);
  t.end(again, 0);
  t.end(second, 0);
  const auto two = t.mine.several(2);
  CHECK(of_type(two, event_type::send).status == 0);
  CHECK(of_type(two, event_type::reply).mlength == 100);
  CHECK(two[1].unlinked);
}

TEST_CASE("one that fails for good is told of twice") {
  getter t;
  message& get = t.take();
  message& reply = t.reply_to(get);
  const bool get_first = GENERATE(true, false);
  t.end(get_first ? get : reply, -EIO, health_status::network_timeout);
  t.end(get_first ? reply : get, -EIO, health_status::network_timeout);
  const auto two = t.mine.several(2);
  CHECK(of_type(two, event_type::send).status == -EIO);
  CHECK(of_type(two, event_type::reply).status == -EIO);
  CHECK(of_type(two, event_type::reply).mlength == 0);
  CHECK(!two[0].unlinked);
  CHECK(two[1].unlinked);
}

TEST_CASE("one that its user unlinked is not tried again, and keeps its memory to the end") {
  getter t;
  message& get = t.take();
  const bool before = GENERATE(true, false);
  if (before) {
    REQUIRE(t.h->md_unlink(t.handle) == 0);
    CHECK(lnet_create_reply_msg(*t.d.ni, get) == nullptr);
    CHECK(t.mine.empty());
    t.end(get, -EIO, health_status::local_timeout);
    CHECK(t.mine.next(event_type::send).unlinked);
    CHECK(t.d.sent.empty());
    return;
  }
  message& reply = t.reply_to(get);
  REQUIRE(t.h->md_unlink(t.handle) == 0);
  CHECK(t.h->md_unlink(t.handle) == -ENOENT);
  CHECK(t.mine.empty());
  t.end(get, -EIO, health_status::local_timeout);
  t.end(reply, -EIO, health_status::local_timeout);
  CHECK(t.d.sent.empty());
  const auto two = t.mine.several(2);
  CHECK(!two[0].unlinked);
  CHECK(two[1].unlinked);
}

TEST_CASE("at the target the driver is handed the bytes, or told that there are none") {
  by_hand::shared d;
  box theirs;
  std::optional<host> h{std::in_place, networks("tcp"), drivers(std::make_unique<by_hand>(d))};
  auto source = pattern(50);
  offer(*h, 1, 1, memory(source, theirs, md_op_get | md_truncate | md_manage_remote));
  header get;
  get.type = msg_type::get;
  get.src_nid = host_b.nid;
  get.dest_nid = d.ni->nid;
  get.dest_pid = get.src_pid = default_pid;
  get.portal = 1;
  get.match_bits = 1;
  get.length = 100;
  get.offset = 20;
  int cookie = 0;
  REQUIRE(lnet_parse(*d.ni, get, host_b.nid, &cookie, true) == 0);
  CHECK(d.cookie == &cookie);
  REQUIRE(d.received);
  CHECK(d.received->hdr.type == msg_type::reply);
  CHECK(d.received->length == 30);
  REQUIRE(length_of(d.received->payload) == 30);
  CHECK(d.received->payload.at(0).data() == source.data() + 20);
  CHECK(d.sent.empty());
  CHECK(theirs.empty());
  lnet_finalize(*d.received, 0);
  const event e = theirs.next(event_type::get);
  CHECK(e.mlength == 30);
  CHECK(e.rlength == 100);
  get.match_bits = 2;
  REQUIRE(lnet_parse(*d.ni, get, host_b.nid, &cookie, true) == 0);
  CHECK(!d.received);
  CHECK(d.receives == 2);
}
