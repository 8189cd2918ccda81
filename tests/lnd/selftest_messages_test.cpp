// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>
#include <string>

#include "../base/seed.hpp"
#include "messages.hpp"

using namespace lnet;
using namespace lnet::selftest;

namespace {

using bytes = std::vector<std::byte>;

const head full_head{.kind = kind::ping,
                     .reply = false,
                     .rpc = 0x0102030405060708,
                     .session = {{0x0a000001, {kind_tcp, 3}}, 0x1112131415161718, 0x2122232425262728},
                     .status = 0,
                     .patience_ms = 0x31323334};

std::string hex(const bytes& b) {
  std::string text;
  constexpr char digits[] = "0123456789abcdef";
  for (const std::byte x : b) {
    text += digits[std::to_integer<unsigned>(x) >> 4];
    text += digits[std::to_integer<unsigned>(x) & 15];
  }
  return text;
}

template <class Body>
bytes message(const head& h, const Body& body) {
  bytes b(large_message);
  b.resize(encode(h, body, b));
  REQUIRE(b.size() >= head_size);
  return b;
}

template <class Body>
void comes_back(head h, const Body& body) {
  const bytes b = message(h, body);
  const auto p = parse(b);
  REQUIRE(p);
  CHECK(p->head == h);
  const auto back = parse_body<Body>(p->body);
  REQUIRE(back);
  CHECK(*back == body);
  // Neither less nor more.
  for (std::size_t cut = 0; cut < b.size(); ++cut) CHECK_FALSE(parse(std::span(b).first(cut)));
  for (std::size_t cut = 0; cut < p->body.size(); ++cut) CHECK_FALSE(parse_body<Body>(p->body.first(cut)));
  bytes more = b;
  more.push_back(std::byte{0});
  CHECK_FALSE(parse(more));
  CHECK_FALSE(parse_body<Body>(std::span(more).subspan(head_size)));
  // And what does not fit is not written.
  for (std::size_t room = 0; room < b.size(); ++room) {
    bytes small(room);
    CHECK(encode(h, body, small) == 0);
  }
}

test_request good_test() {
  test_request t;
  t.batch = 1;
  t.test = 2;
  t.operation = operation_kind::write;
  t.check = check::full;
  t.size = mtu;
  t.offset = 8;
  t.concurrency = 16;
  t.rpc_timeout_ms = 1000;
  t.loop = 1ull << 40;
  t.servers = {{1, {kind_tcp, 0}}, {2, {kind_kfx, 1}}};
  return t;
}

template <class Body>
bool acceptable(const Body& body) {
  const bytes b = message(full_head, body);
  return parse_body<Body>(std::span(b).subspan(head_size)).has_value();
}

}  // namespace

TEST_CASE("selftest messages have these bytes") {
  const std::string head_text =
      "4c545331"
      "0100"
      "0100"
      "0807060504030201"
      "0100000a03000200"
      "1817161514131211"
      "2827262524232221"
      "00000000";
  CHECK(hex(message(full_head, ping_body{0x4142434445464748})) == head_text +
                                                                      "08000000"
                                                                      "34333231"
                                                                      "00000000"
                                                                      "4847464544434241");

  head reply = full_head;
  reply.kind = kind::brw;
  reply.reply = true;
  reply.status = -5;
  CHECK(hex(message(reply, brw_reply{1, nothing_wrong, 4096})) ==
        "4c545331"
        "0100"
        "0280"
        "0807060504030201"
        "0100000a03000200"
        "1817161514131211"
        "2827262524232221"
        "fbffffff"
        "10000000"
        "34333231"
        "00000000"
        "0100000000000000"
        "ffffffff"
        "00100000");

  head brw = full_head;
  brw.kind = kind::brw;
  CHECK(hex(message(brw, brw_request{operation_kind::write, check::full, 4096, 8, 7})).substr(2 * head_size) ==
        "02"
        "02"
        "0000"
        "00100000"
        "08000000"
        "00000000"
        "0700000000000000");
}

TEST_CASE("selftest messages survive encoding, and nothing but whole ones is taken") {
  head h = full_head;
  comes_back(h, ping_body{7});
  h.kind = kind::brw;
  comes_back(h, brw_request{operation_kind::read, check::simple, 1, 4088, 9});
  h.reply = true;
  h.status = -110;
  comes_back(h, brw_reply{3, 17, 0});
  h = full_head;
  h.kind = kind::join;
  comes_back(h, join_request{30, true, "name"});
  h.kind = kind::status;
  comes_back(h, empty_body{});
  h.reply = true;
  comes_back(h, session_info{{1, {kind_kfx, 0}}, 2, 3, 4, 5, "abc"});
  h = full_head;
  h.kind = kind::add_test;
  comes_back(h, good_test());
  h.kind = kind::query_batch;
  comes_back(h, batch_request{77});
  h.reply = true;
  comes_back(h, batch_results{{{1, 2, 3, 4, 5, 6, 7, 8}, {9, 10, 11, 12, 13, 14, 15, 16}}});
  h.kind = kind::statistics;
  comes_back(h, node_statistics{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
}

TEST_CASE("the largest selftest messages fit") {
  test_request t = good_test();
  t.servers.assign(max_servers, nid{1, {kind_tcp, 0}});
  CHECK(acceptable(t));
  batch_results r;
  r.tests.resize(max_results);
  CHECK(acceptable(r));
}

TEST_CASE("a selftest head that makes no sense is refused") {
  const bytes good = message(full_head, ping_body{1});
  REQUIRE(parse(good));
  const auto with = [&](std::size_t at, unsigned value) {
    bytes b = good;
    b[at] = static_cast<std::byte>(value);
    return parse(b).has_value();
  };
  for (std::size_t at = 0; at < 6; ++at) CHECK_FALSE(with(at, 0x77));  // magic, version
  CHECK_FALSE(with(6, 0));
  CHECK_FALSE(with(6, 3));
  CHECK_FALSE(with(6, 15));
  CHECK_FALSE(with(6, 24));
  CHECK_FALSE(with(7, 0x40));
  CHECK_FALSE(with(15, 0x80));  // rpc: no room for match bits
  CHECK_FALSE(with(40, 1));     // a status in a request
  CHECK_FALSE(with(43, 0xff));
  CHECK_FALSE(with(44, 9));  // length
  CHECK_FALSE(with(52, 1));  // reserved
  CHECK(with(48, 9));
}

TEST_CASE("selftest bodies out of bounds are refused") {
  CHECK(acceptable(brw_request{operation_kind::read, check::none, mtu, 0, 0}));
  CHECK_FALSE(acceptable(brw_request{operation_kind::ping, check::none, 8, 0, 0}));
  CHECK_FALSE(acceptable(brw_request{static_cast<operation_kind>(3), check::none, 8, 0, 0}));
  CHECK_FALSE(acceptable(brw_request{operation_kind::read, static_cast<check>(3), 8, 0, 0}));
  CHECK_FALSE(acceptable(brw_request{operation_kind::read, check::none, 0, 0, 0}));
  CHECK_FALSE(acceptable(brw_request{operation_kind::read, check::none, mtu + 1, 0, 0}));
  CHECK_FALSE(acceptable(brw_request{operation_kind::read, check::none, 8, 4, 0}));
  CHECK_FALSE(acceptable(brw_request{operation_kind::read, check::none, 8, max_offset, 0}));
  CHECK_FALSE(acceptable(join_request{0, false, "a"}));
  CHECK_FALSE(acceptable(join_request{1, false, ""}));
  CHECK_FALSE(acceptable(join_request{1, false, std::string(max_name + 1, 'a')}));
  CHECK_FALSE(acceptable(join_request{1, false, "a\x1b[2J"}));
  const auto changed = [](auto change) {
    test_request t = good_test();
    change(t);
    return acceptable(t);
  };
  CHECK(changed([](test_request&) {}));
  CHECK(changed([](test_request& t) { t.loop = 0; }));
  CHECK_FALSE(changed([](test_request& t) { t.concurrency = 0; }));
  CHECK_FALSE(changed([](test_request& t) { t.concurrency = max_concurrency + 1; }));
  CHECK_FALSE(changed([](test_request& t) { t.servers.clear(); }));
  CHECK_FALSE(changed([](test_request& t) { t.rpc_timeout_ms = 0; }));
  CHECK_FALSE(changed([](test_request& t) { t.size = 0; }));
  CHECK_FALSE(changed([](test_request& t) { t.offset = 12; }));
  CHECK(changed([](test_request& t) {
    t.operation = operation_kind::ping;
    t.size = 0;
  }));
}

TEST_CASE("any bytes may come as a selftest message") {
  kfx_test::rng random(kfx_test::seed("any bytes may come as a selftest message"));
  head kinds = full_head;
  kinds.kind = kind::add_test;
  const bytes some[] = {message(full_head, ping_body{1}), message(kinds, good_test())};
  std::size_t heads = 0, bodies = 0;
  for (int round = 0; round < 20000; ++round) {
    bytes b = some[kfx_test::below(random, 2)];
    const auto changes = kfx_test::below(random, 4);
    for (std::uint64_t i = 0; i < changes; ++i) {
      // Fields are small numbers more often than not.
      const auto value = kfx_test::log_uniform(random, 8);
      b[kfx_test::below(random, b.size())] = static_cast<std::byte>(value);
    }
    if (kfx_test::below(random, 4) == 0) b.resize(kfx_test::below(random, b.size() + 32));
    const auto p = parse(b);
    if (!p) continue;
    ++heads;
    CHECK(p->body.size() + head_size == b.size());
    const auto t = parse_body<test_request>(p->body);
    const bool others[] = {
        parse_body<ping_body>(p->body).has_value(),    parse_body<brw_request>(p->body).has_value(),
        parse_body<brw_reply>(p->body).has_value(),    parse_body<join_request>(p->body).has_value(),
        parse_body<session_info>(p->body).has_value(), parse_body<batch_results>(p->body).has_value()};
    for (const bool o : others) bodies += o;
    if (!t) continue;
    ++bodies;
    CHECK(t->servers.size() <= max_servers);
    CHECK(message(p->head, *t) == b);  // what is understood says the same again
  }
  CHECK(heads > 1000);
  CHECK(bodies > 1000);
}
