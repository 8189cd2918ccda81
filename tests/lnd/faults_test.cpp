// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What goes wrong over the driver: peers that die, stop, restart and talk nonsense; limits; memory taken back.

#include <algorithm>
#include <cstring>
#include <thread>

#include "kfx/kfx.hpp"
#include "suite.hpp"

namespace lnd_test {
namespace {

constexpr unsigned portal = 9;
constexpr unsigned takes = lnet::md_op_put | lnet::md_manage_remote;
constexpr unsigned answers = lnet::md_op_get | lnet::md_manage_remote;

std::string place(const std::string& uri, unsigned number) {
  std::string text = uri;
  text.replace(text.find("%a"), 2, lnet::address_text(nid_of(number)));
  return text;
}

/// Somebody who speaks kfx, and to the driver what it likes.
struct stranger {
  kfx::node node;
  kfx::peer victim;
  explicit stranger(const std::string& uri) : victim(node.at(place(uri, 2))) {}
  /// What became of it, and whether the connection was dropped.
  std::error_code say(kfx::const_buffer header, kfx::const_buffer payload = {}) {
    auto op = victim.send(header, payload);
    const auto r = op.complete(patience);
    REQUIRE(op.ready());
    return r ? std::error_code() : r.error();
  }
};

std::vector<std::byte> frame_of(const lnet::header& h) {
  static constexpr unsigned char preamble[] = {'k', 'L', 'N', 'D', 1, 0, 0, 0};
  std::vector<std::byte> all(sizeof preamble + lnet::header::size);
  const auto bytes = h.encode();
  std::memcpy(all.data(), preamble, sizeof preamble);
  std::memcpy(all.data() + sizeof preamble, bytes.data(), bytes.size());
  return all;
}

lnet::header put_to(lnet::nid target, std::size_t payload) {
  lnet::header h;
  h.dest_nid = target;
  h.src_nid = nid_of(9);
  h.dest_pid = h.src_pid = lnet::default_pid;
  h.type = lnet::msg_type::put;
  h.payload_length = static_cast<std::uint32_t>(payload);
  h.portal = portal;
  return h;
}

template <class F>
void eventually(F condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) FAIL(what);
    std::this_thread::sleep_for(1ms);
  }
}

}  // namespace

TEST_CASE("nonsense ends the connection it came over, and nothing else", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1), b(uri, 2);
  stranger s(uri);
  const std::vector<std::byte> some(2000);
  std::vector<std::vector<std::byte>> wrong;
  const auto good = frame_of(put_to(b.id().nid, 0));
  wrong.push_back(good), wrong.back()[0] = std::byte{'x'};      // magic
  wrong.push_back(good), wrong.back()[4] = std::byte{9};        // version
  wrong.push_back(good), wrong.back()[8 + 24] = std::byte{77};  // type
  wrong.push_back(good), wrong.back().pop_back();               // length
  wrong.push_back(good), wrong.back().push_back({});
  wrong.push_back({});
  wrong.push_back(frame_of(put_to(nid_of(77), 0)));            // for somebody else
  wrong.push_back(frame_of(put_to(b.id().nid, some.size())));  // a payload that is not there
  wrong.push_back(frame_of(put_to(b.id().nid, lnet::mtu + 1)));
  for (const auto& w : wrong) {
    const std::error_code e = s.say(w);
    INFO(e.message());
    CHECK((e == std::errc::protocol_error || e == kfx::errc::session_lost));
  }
  for (const lnet::msg_type type : {lnet::msg_type::ack, lnet::msg_type::get}) {
    auto h = put_to(b.id().nid, some.size());
    h.type = type;
    h.length = 10;
    const std::error_code e = s.say(frame_of(h), some);
    CHECK((e == std::errc::protocol_error || e == kfx::errc::session_lost));
  }
  const std::vector<std::byte> endless(lnet::mtu + 1);
  const std::error_code e = s.say(frame_of(put_to(b.id().nid, endless.size())), endless);
  CHECK((e == std::errc::protocol_error || e == kfx::errc::session_lost));
  // Others were not bothered.
  std::vector<std::byte> source(100), sink(100);
  attach_md(b, portal, list_of(sink), takes);
  REQUIRE(a.host->put(lnet::nid::any(), bind_md(a, list_of(source), 2), lnet::ack_request::ack, b.id(), portal, 0, 0,
                      0) == 0);
  CHECK(a.next(event_type::ack).status == 0);
}

TEST_CASE("random bytes end no process", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint b(uri, 2);
  stranger s(uri);
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  const auto good = frame_of(put_to(b.id().nid, 50));
  for (std::size_t n = rounds(300); n > 0; --n) {
    auto bytes = good;
    for (std::size_t k = rng() % 4; k > 0; --k) bytes[8 + rng() % (bytes.size() - 8)] = static_cast<std::byte>(rng());
    bytes.resize(rng() % 10 ? bytes.size() : rng() % 200);
    (void)s.say(bytes, noise(rng, rng() % 2 ? 50 : rng() % 3000));
  }
  // The connection that the last one cost may still be on its way down.
  eventually([&] { return !s.say(frame_of(put_to(b.id().nid, 0))); }, "it does not listen any more");
}

TEST_CASE("both sides' first messages at once", "[faults]") {
  for (std::size_t n = rounds(1000); n > 0; --n) {
    const std::string uri = uri_pattern();
    endpoint a(uri, 1), b(uri, 2);
    std::vector<std::byte> source(64), a_sink(64), b_sink(64);
    attach_md(a, portal, list_of(a_sink), takes);
    attach_md(b, portal, list_of(b_sink), takes);
    const auto from_a = bind_md(a, list_of(source), 2), from_b = bind_md(b, list_of(source), 2);
    std::thread other(
        [&] { (void)b.host->put(lnet::nid::any(), from_b, lnet::ack_request::ack, a.id(), portal, 0, 0, 0); });
    (void)a.host->put(lnet::nid::any(), from_a, lnet::ack_request::ack, b.id(), portal, 0, 0, 0);
    other.join();
    CHECK(a.next(event_type::ack).status == 0);
    CHECK(b.next(event_type::ack).status == 0);
  }
}

TEST_CASE("memory is quiet after the event that says so", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1), b(uri, 2);
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  std::vector<std::byte> source(lnet::mtu, std::byte{0xaa});
  for (std::size_t n = rounds(50); n > 0; --n) {
    std::vector<std::byte> sink(lnet::mtu);
    const auto t = attach_md(b, portal, list_of(sink), takes | lnet::md_truncate);
    const auto md = bind_md(a, list_of(source));
    for (unsigned k = 0; k < 4; ++k)
      REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, b.id(), portal, 0, 0, 0) == 0);
    for (std::size_t k = rng() % 4; k > 0; --k) (void)b.next();
    REQUIRE(b.host->md_unlink(t.md) == 0);
    while (!b.next().unlinked) {
    }
    std::fill(sink.begin(), sink.end(), std::byte{0x55});
    for (unsigned k = 0; k < 4; ++k) CHECK(a.next(event_type::send).type == event_type::send);
    CHECK(std::all_of(sink.begin(), sink.end(), [](std::byte x) { return x == std::byte{0x55}; }));
    REQUIRE(a.host->md_unlink(md) == 0);
    while (!a.next().unlinked) {
    }
  }
}

TEST_CASE("a peer that restarted refuses what was meant for its former life", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1);
  for (std::size_t n = rounds(20); n > 0; --n) {
    auto b = std::make_unique<endpoint>(uri, 2);
    std::vector<std::byte> source(100), sink(100);
    attach_md(*b, portal, list_of(sink), takes);
    const auto md = bind_md(a, list_of(source));
    // What is sent before anybody knows of the restart may be lost with it; what follows gets through by itself.
    const auto gets_through = [&] {
      for (unsigned tries = 0; tries < 3; ++tries) {
        REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, b->id(), portal, 0, 0, 0) == 0);
        const event first = a.next();
        if (first.status == 0 && a.next().status == 0) return true;
      }
      return false;
    };
    CHECK(gets_through());
    b.reset();
    b = std::make_unique<endpoint>(uri, 2);
    attach_md(*b, portal, list_of(sink), takes);
    CHECK(gets_through());
    REQUIRE(a.host->md_unlink(md) == 0);
    while (!a.next().unlinked) {
    }
  }
}

TEST_CASE("what cannot be answered in time ends with a time-out, and the rest goes on", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1, {.transaction_timeout = 2s, .retry_count = 0});
  // Takes connections and never answers a message.
  kfx::node silent;
  std::mutex m;
  std::vector<kfx::message> kept;
  silent.on_message([&](kfx::message msg) {
    std::lock_guard lock(m);
    kept.push_back(std::move(msg));
  });
  silent.listen(place(uri, 3));
  endpoint b(uri, 2);
  std::vector<std::byte> sink(100000, std::byte{7}), source(100), there(100);
  attach_md(b, portal, list_of(there), takes);
  const auto md = bind_md(a, list_of(sink), 2);
  REQUIRE(a.host->get(lnet::nid::any(), md, {nid_of(3), lnet::default_pid}, portal, 0, 0) == 0);
  REQUIRE(a.host->put(lnet::nid::any(), bind_md(a, list_of(source), 2), lnet::ack_request::ack, b.id(), portal, 0, 0,
                      0) == 0);
  CHECK(a.next(event_type::ack).status == 0);
  event e = a.next();
  while (!(e.md == md && e.unlinked)) e = a.next();
  CHECK(e.status != 0);
  CHECK(a.host->stats().health[lnet::health_status::network_timeout] >= 1);
  // The token is worth nothing any more.
  kfx::message late = [&] {
    std::lock_guard lock(m);
    return std::move(kept.at(0));
  }();
  const auto token = kfx::remote_region::decode(late.header().subspan(80));
  REQUIRE(token.has_value());
  const std::vector<std::byte> poison(1000, std::byte{0xdb});
  auto write = late.from().write(poison, *token);
  CHECK_FALSE(write.complete(patience).has_value());
  CHECK(sink == std::vector<std::byte>(100000, std::byte{7}));
}

TEST_CASE("nobody there is said so, and somebody who comes is reached", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1, {.transaction_timeout = 1s, .retry_count = 1});
  std::vector<std::byte> source(100), sink(100);
  const auto md = bind_md(a, list_of(source));
  const lnet::process_id there{nid_of(2), lnet::default_pid};
  REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, there, portal, 0, 0, 0) == 0);
  const event e = a.next(event_type::send);
  CHECK(e.status != 0);
  CHECK(a.host->stats().resends + a.host->stats().timeouts + a.host->stats().errors >= 1);
  endpoint b(uri, 2);
  attach_md(b, portal, list_of(sink), takes);
  eventually(
      [&] {
        REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, there, portal, 0, 0, 0) == 0);
        return a.next(event_type::send).status == 0;
      },
      "it is never reached");
}

TEST_CASE("what fails towards one NID of a peer is tried towards another", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, "kfx(127.0.0.1),kfx1(127.0.0.5)", {.transaction_timeout = 5s, .retry_count = 3});
  endpoint b(uri, "kfx1(127.0.0.6)");
  // Of its two NIDs nobody listens at the first.
  const lnet::nid dead = nid_of(2), alive = nid_of(6, 1);
  REQUIRE(a.host->peer_add(dead, {alive}) == 0);
  std::vector<std::byte> source(100), sink(100);
  attach_md(b, portal, list_of(sink), takes);
  for (unsigned n = 0; n < 20; ++n) {
    const auto md = bind_md(a, list_of(source), 2);
    REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, {dead, lnet::default_pid}, portal, 0, 0, 0) == 0);
    CHECK(a.next(event_type::ack).status == 0);
  }
  const auto peers = a.host->peers();
  const auto peer = std::find_if(peers.begin(), peers.end(), [&](const auto& p) { return p.primary == dead; });
  REQUIRE(peer != peers.end());
  for (const auto& ni : peer->nis) CHECK(ni.health == (ni.nid == alive ? 1000 : std::min(ni.health, 999)));
}

TEST_CASE("a message for another net is dropped and counted", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint b(uri, 2);
  stranger s(uri);
  lnet::nid far = nid_of(2);
  far.net = {lnet::kind_tcp, 3};
  (void)s.say(frame_of(put_to(far, 0)));
  eventually([&] { return b.host->stats().dropped == 1; }, "it is not counted");
}

TEST_CASE("more messages than credits wait, and none is lost", "[faults]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1, {.credits = 8, .peer_credits = 3}), b(uri, 2);
  std::vector<std::byte> source(3000), sink(3000);
  attach_md(b, portal, list_of(sink), takes);
  const auto md = bind_md(a, list_of(source));
  constexpr unsigned n = 1000;
  for (unsigned i = 0; i < n; ++i)
    REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, b.id(), portal, i, 0, 0) == 0);
  for (unsigned i = 0; i < n; ++i) CHECK(b.next().match_bits == i);
  for (unsigned i = 0; i < n; ++i) CHECK(a.next().status == 0);
  CHECK(a.host->peers().at(0).nis.at(0).least_credits < 0);
}

TEST_CASE("a host that goes under traffic leaves nothing under way", "[faults]") {
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  for (std::size_t n = rounds(30); n > 0; --n) {
    const std::string uri = uri_pattern();
    std::vector<std::byte> source(200000), sink(200000), fetched(200000);  // outlive both
    auto a = std::make_unique<endpoint>(uri, 1), b = std::make_unique<endpoint>(uri, 2);
    attach_md(*b, portal, list_of(sink), takes);
    attach_md(*a, portal, list_of(source), answers);
    const auto put_md = bind_md(*a, list_of(source)), get_md = bind_md(*b, list_of(fetched));
    for (unsigned i = 0; i < 20; ++i) {
      (void)a->host->put(lnet::nid::any(), put_md, lnet::ack_request::ack, b->id(), portal, 0, 0, 0);
      (void)b->host->get(lnet::nid::any(), get_md, a->id(), portal, 0, 0);
    }
    for (std::size_t k = rng() % 10; k > 0; --k) (void)a->next();
    auto& first = rng() % 2 ? a : b;
    const auto events = first->events;
    first->host.reset();
    while (events->poll()) {
    }
    CHECK_FALSE(events->poll(5ms));
  }
}

}  // namespace lnd_test
