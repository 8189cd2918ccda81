// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// PUT and GET over the driver: events, lengths, fragments, thresholds between what is sent at once and what is not.

#include <algorithm>
#include <cmath>

#include "suite.hpp"

namespace lnd_test {
namespace {

constexpr unsigned portal = 9;
constexpr unsigned takes = lnet::md_op_put | lnet::md_manage_remote;
constexpr unsigned answers = lnet::md_op_get | lnet::md_manage_remote;

struct pair {
  std::string uri = uri_pattern();
  endpoint a{uri, 1}, b{uri, 2};
};

void check_put(pair& p, std::mt19937_64& rng, std::size_t size, std::size_t most) {
  const std::size_t room = size + rng() % 100, offset = room - size;
  pieces source(rng, size, most), sink(rng, room, most);
  const auto bytes = noise(rng, size);
  source.fill(bytes);
  attach_md(p.b, portal, sink.list, takes, 1);
  const auto md = bind_md(p.a, source.list, 2);
  REQUIRE(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, p.b.id(), portal, 7, offset, 99) == 0);
  const event put = p.b.next();
  REQUIRE(put.type == event_type::put);
  REQUIRE(put.status == 0);
  REQUIRE(put.rlength == size);
  REQUIRE(put.mlength == size);
  REQUIRE(put.unlinked);
  const auto got = sink.flat();
  REQUIRE(std::equal(bytes.begin(), bytes.end(), got.begin() + static_cast<std::ptrdiff_t>(offset)));
  const event ack = p.a.next(event_type::ack);
  REQUIRE(ack.status == 0);
  REQUIRE(ack.mlength == size);
  if (!ack.unlinked) REQUIRE(p.a.next(event_type::send).unlinked);
}

void check_get(pair& p, std::mt19937_64& rng, std::size_t size, std::size_t there, std::size_t most) {
  const std::size_t comes = std::min(size, there);
  pieces source(rng, there, most), sink(rng, size, most);
  const auto bytes = noise(rng, there);
  source.fill(bytes);
  attach_md(p.b, portal, source.list, answers | lnet::md_truncate, 1);
  const auto md = bind_md(p.a, sink.list, 2);
  REQUIRE(p.a.host->get(lnet::nid::any(), md, p.b.id(), portal, 7, 0) == 0);
  const event reply = p.a.next(event_type::reply);
  REQUIRE(reply.status == 0);
  REQUIRE(reply.mlength == comes);
  auto got = sink.flat();
  REQUIRE(std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(comes), got.begin()));
  if (!reply.unlinked) REQUIRE(p.a.next(event_type::send).unlinked);
  const event get = p.b.next(event_type::get);
  REQUIRE(get.mlength == comes);
}

}  // namespace

TEST_CASE("a PUT gives SEND and ACK here and PUT there, with all it was told", "[transfers]") {
  pair p;
  std::vector<std::byte> source(1000, std::byte{5}), sink(4096);
  attach_md(p.b, portal, list_of(sink), takes);
  const auto md = bind_md(p.a, list_of(source), 2);
  REQUIRE(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, p.b.id(), portal, 0x1234, 24, 0xabcdef) == 0);
  const event put = p.b.next();
  CHECK(put.type == event_type::put);
  CHECK(put.initiator == p.a.id());
  CHECK(put.portal == portal);
  CHECK(put.match_bits == 0x1234);
  CHECK(put.hdr_data == 0xabcdef);
  CHECK(put.rlength == 1000);
  CHECK(put.mlength == 1000);
  CHECK(put.offset == 24);
  CHECK_FALSE(put.unlinked);
  const event one = p.a.next(), two = p.a.next();
  CHECK(((one.type == event_type::send && two.type == event_type::ack) ||
         (one.type == event_type::ack && two.type == event_type::send)));
  const event& ack = one.type == event_type::ack ? one : two;
  CHECK(ack.mlength == 1000);
  CHECK(ack.status == 0);
  CHECK_FALSE(one.unlinked);
  CHECK(two.unlinked);
}

TEST_CASE("no ACK comes when none is wanted, or the target sends none", "[transfers]") {
  pair p;
  std::vector<std::byte> source(100), sink(100);
  const bool asked = GENERATE(false, true);
  const auto t = attach_md(p.b, portal, list_of(sink), takes | (asked ? lnet::md_ack_disable : 0u));
  const auto md = bind_md(p.a, list_of(source), 2);
  const auto want = asked ? lnet::ack_request::ack : lnet::ack_request::no_ack;
  REQUIRE(p.a.host->put(lnet::nid::any(), md, want, p.b.id(), portal, 0, 0, 0) == 0);
  CHECK(p.a.next().type == event_type::send);
  CHECK(p.b.next().type == event_type::put);
  // What an ACK would be behind has come: there was none.
  REQUIRE(p.b.host->md_unlink(t.md) == 0);
  CHECK(p.b.next().unlinked);
  CHECK(p.b.host->stats().sent == 0);
  CHECK(p.a.quiet());
}

TEST_CASE("a large GET is one message and one transfer, a small one has a REPLY", "[transfers]") {
  pair p;
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  const std::uint64_t before = p.b.host->stats().sent;
  check_get(p, rng, 100000, 100000, 5);
  CHECK(p.b.host->stats().sent == before);
  check_get(p, rng, 100, 100, 5);
  CHECK(p.b.host->stats().sent == before + 1);
}

TEST_CASE("a GET that finds less tells how much it was", "[transfers]") {
  pair p;
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  for (const auto& [size, there] : {std::pair{100000u, 70000u}, {100u, 60u}, {100000u, 10u}, {100u, 0u}, {50000u, 0u}})
    check_get(p, rng, size, there, 3);
}

TEST_CASE("nothing at all is sent and fetched", "[transfers]") {
  pair p;
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  check_put(p, rng, 0, 1);
  check_get(p, rng, 0, 0, 1);
  check_get(p, rng, 0, 10, 1);
}

TEST_CASE("a MiB passes, a byte more is refused before it leaves", "[transfers]") {
  pair p;
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  check_put(p, rng, lnet::mtu, 1);
  check_get(p, rng, lnet::mtu, lnet::mtu, 1);
  std::vector<std::byte> more(lnet::mtu + 1);
  const auto md = bind_md(p.a, list_of(more));
  CHECK(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, p.b.id(), portal, 0, 0, 0) == -EMSGSIZE);
  CHECK(p.a.host->get(lnet::nid::any(), md, p.b.id(), portal, 0, 0) == -EMSGSIZE);
  CHECK(p.a.quiet(1ms));
}

TEST_CASE("256 fragments pass, 257 are refused", "[transfers]") {
  pair p;
  std::vector<std::byte> memory(257 * 16, std::byte{3}), sink(257 * 16);
  lnet::fragment_list list;
  for (std::size_t i = 0; i < 257; ++i) list.push_back(lnet::fragment(memory).subspan(i * 16, 16));
  lnet::md_handle md;
  CHECK(p.a.host->md_bind({list, 2, 0, 0, nullptr, p.a.events}, lnet::unlink_op::unlink, md) == -EINVAL);
  list.pop_back();
  md = bind_md(p.a, list, 2);
  attach_md(p.b, portal, list_of(sink), takes, 1);
  REQUIRE(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, p.b.id(), portal, 0, 0, 0) == 0);
  CHECK(p.b.next().mlength == 4096);
  CHECK(p.a.next(event_type::ack).status == 0);
}

TEST_CASE("bytes arrive as they were, whatever the pieces on both sides", "[transfers]") {
  pair p;
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  for (std::size_t n = rounds(200); n > 0; --n) {
    const auto size = static_cast<std::size_t>(std::exp2(std::uniform_real_distribution<>(0, 20)(rng)));
    const std::size_t most = 1 + rng() % lnet::max_fragments;
    if (rng() % 2)
      check_put(p, rng, size, most);
    else
      check_get(p, rng, size, rng() % 3 ? size : rng() % (size + 1), most);
  }
}

TEST_CASE("both sides of the limits between what is sent at once and what is not", "[transfers]") {
  pair p;
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  for (const std::size_t limit : {std::size_t{4096}, std::size_t{8192}, std::size_t{16384}})
    for (const std::size_t size : {limit - 1, limit, limit + 1}) {
      check_put(p, rng, size, 3);
      check_get(p, rng, size, size, 3);
    }
}

TEST_CASE("what is too long is cut where that is allowed, and else dropped", "[transfers]") {
  pair p;
  for (const std::size_t size : {std::size_t{100}, std::size_t{100000}}) {
    std::vector<std::byte> source(size, std::byte{1}), sink(size / 2);
    const auto fixed = attach_md(p.b, portal, list_of(sink), takes);
    auto md = bind_md(p.a, list_of(source), 2);
    const std::uint64_t dropped = p.b.host->stats().dropped;
    REQUIRE(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, p.b.id(), portal, 0, 0, 0) == 0);
    CHECK(p.a.next(event_type::send).status == 0);
    CHECK(p.b.host->stats().dropped == dropped + 1);
    CHECK(sink == std::vector<std::byte>(size / 2));
    REQUIRE(p.b.host->md_unlink(fixed.md) == 0);
    CHECK(p.b.next().type == event_type::unlink);
    REQUIRE(p.a.host->md_unlink(md) == 0);
    CHECK(p.a.next().unlinked);

    attach_md(p.b, portal, list_of(sink), takes | lnet::md_truncate, 1);
    md = bind_md(p.a, list_of(source), 2);
    REQUIRE(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, p.b.id(), portal, 0, 0, 0) == 0);
    const event put = p.b.next();
    CHECK(put.rlength == size);
    CHECK(put.mlength == size / 2);
    CHECK(sink == std::vector<std::byte>(size / 2, std::byte{1}));
    const event ack = p.a.next(event_type::ack);
    CHECK(ack.mlength == size / 2);
    if (!ack.unlinked) CHECK(p.a.next(event_type::send).unlinked);
  }
}

TEST_CASE("a GET that nothing matches says so", "[transfers]") {
  pair p;
  for (const std::size_t size : {std::size_t{100}, std::size_t{100000}}) {
    std::vector<std::byte> sink(size, std::byte{9});
    const auto md = bind_md(p.a, list_of(sink), 2);
    REQUIRE(p.a.host->get(lnet::nid::any(), md, p.b.id(), portal, 0, 0) == 0);
    if (size > 4096) {
      CHECK(p.a.next(event_type::reply).status == -ENODATA);
    } else {
      // LNet sends nothing then: whoever asked waits for its own limit.
      CHECK(p.a.next(event_type::send).status == 0);
      REQUIRE(p.a.host->md_unlink(md) == 0);
      CHECK(p.a.next().unlinked);
    }
    CHECK(sink == std::vector<std::byte>(size, std::byte{9}));
  }
}

TEST_CASE("a PUT waits at a lazy portal, and at no other", "[transfers]") {
  pair p;
  for (const std::size_t size : {std::size_t{100}, std::size_t{100000}}) {
    std::vector<std::byte> source(size, std::byte{4}), sink(size);
    REQUIRE(p.b.host->set_lazy_portal(portal) == 0);
    const auto md = bind_md(p.a, list_of(source), 2);
    REQUIRE(p.a.host->put(lnet::nid::any(), md, lnet::ack_request::ack, p.b.id(), portal, 0, 0, 0) == 0);
    CHECK(p.b.quiet());
    attach_md(p.b, portal, list_of(sink), takes, 1);
    CHECK(p.b.next().mlength == size);
    CHECK(sink == source);
    const event ack = p.a.next(event_type::ack);
    CHECK(ack.status == 0);
    if (!ack.unlinked) CHECK(p.a.next(event_type::send).unlinked);
    REQUIRE(p.b.host->clear_lazy_portal(portal) == 0);
  }
}

TEST_CASE("messages that nobody takes cost no credit", "[transfers]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1, {.peer_credits = 4}), b(uri, 2);
  std::vector<std::byte> source(20000);
  const auto md = bind_md(a, list_of(source));
  constexpr unsigned n = 40;  // ten times as many as there are credits
  for (unsigned i = 0; i < n; ++i)
    REQUIRE(a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, b.id(), portal, 0, 0, 0) == 0);
  for (unsigned i = 0; i < n; ++i) CHECK(a.next(event_type::send).status == 0);
  CHECK(b.host->stats().dropped == n);
}

}  // namespace lnd_test
