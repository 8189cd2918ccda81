// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <unordered_set>

#include "base/seed.hpp"
#include "nid.hpp"

using lnet::nid;
using lnet::parse_net;
using lnet::parse_nid;
using lnet::to_string;

TEST_CASE("NIDs are read and written", "[nid]") {
  struct {
    const char* text;
    nid n;
  } const vectors[] = {
      {"10.0.0.1@tcp", {0x0a000001, {2, 0}}},
      {"10.0.0.1@tcp1", {0x0a000001, {2, 1}}},
      {"255.255.255.255@o2ib65535", {0xffffffff, {5, 65535}}},
      {"0.0.0.0@kfx", {0, {64, 0}}},
      {"192.168.1.20@kfx3", {0xc0a80114, {64, 3}}},
      {"12@gni", {12, {13, 0}}},
      {"4294967295@gni7", {0xffffffff, {13, 7}}},
      {"0@kfi", {0, {16, 0}}},
      {"0@lo", {0, {9, 0}}},
      {"<?>", nid::any()},
  };
  for (const auto& v : vectors) {
    INFO(v.text);
    REQUIRE(parse_nid(v.text).has_value());
    CHECK(*parse_nid(v.text) == v.n);
    CHECK(to_string(v.n) == v.text);
  }
  CHECK(*parse_nid("10.0.0.1@tcp0") == *parse_nid("10.0.0.1@tcp"));
  CHECK(parse_nid("0@lo")->is_loopback());
  CHECK(parse_nid("<?>")->is_any());
  CHECK(lnet::address_text({0x0a000001, {2, 0}}) == "10.0.0.1");
  CHECK(lnet::address_text({12, {13, 0}}) == "12");
}

TEST_CASE("what is no NID is refused", "[nid]") {
  for (const char* text : {"",
                           "@",
                           "10.0.0.1",
                           "@tcp",
                           "10.0.0.1@",
                           "10.0.0@tcp",
                           "10.0.0.1.2@tcp",
                           "256.0.0.1@tcp",
                           "10.0.0.1@ip",
                           "10.0.0.1@tcp65536",
                           "10.0.0.1@tcp-1",
                           "10.0.0.1@tcp 1",
                           " 10.0.0.1@tcp",
                           "10.0.0.1@tcp ",
                           "10.0.0.01@tcp",
                           "10.0.0.1@tcp01",
                           "+1.0.0.1@tcp",
                           "10..0.1@tcp",
                           "10.0.0.@tcp",
                           ".10.0.0@tcp",
                           "10.0.0.1@@tcp",
                           "10.0.0.1@tcp@tcp",
                           "a.b.c.d@tcp",
                           "1@tcp",
                           "10.0.0.1@gni",
                           "4294967296@gni",
                           "-1@gni",
                           "0x1@gni",
                           "1@lo",
                           "0@lo0",
                           "0@lo1",
                           "any",
                           "<?>@tcp",
                           "<?",
                           "10.0.0.1@TCP",
                           "12345-10.0.0.1@tcp"}) {
    INFO('"' << text << '"');
    CHECK_FALSE(parse_nid(text).has_value());
  }
  CHECK_FALSE(parse_nid(std::string_view("10.0.0.1@tcp\0", 13)).has_value());
  CHECK_FALSE(parse_nid(std::string(100000, '1') + "@gni").has_value());
}

TEST_CASE("networks have names", "[nid]") {
  CHECK(*parse_net("tcp") == lnet::net{2, 0});
  CHECK(*parse_net("tcp0") == lnet::net{2, 0});
  CHECK(*parse_net("o2ib3") == lnet::net{5, 3});
  CHECK(*parse_net("kfx65535") == lnet::net{64, 65535});
  CHECK(*parse_net("lo") == lnet::net{9, 0});
  for (const char* text : {"", "tc", "tcp65536", "tcp1x", "xtcp", "2", "o2ib-1", "lo0", "kfx 1", "kf", "tcp,"}) {
    INFO('"' << text << '"');
    CHECK_FALSE(parse_net(text).has_value());
  }
  CHECK(to_string(lnet::net{5, 3}) == "o2ib3");
  CHECK(to_string(lnet::net{5, 0}) == "o2ib");
  // A kind that nobody knows still can be logged.
  CHECK(to_string(lnet::net{77, 3}) == "<77:3>");
  CHECK(to_string(nid{0x0a000001, {77, 3}}) == "0xa000001@<77:3>");
}

TEST_CASE("processes are written with their pid", "[nid]") {
  CHECK(to_string(lnet::process_id{{0x0a000001, {2, 0}}, 12345}) == "12345-10.0.0.1@tcp");
  CHECK(to_string(lnet::process_id{}) == "<?>-<?>");
}

TEST_CASE("a NID survives being packed, and being written", "[nid][random]") {
  CHECK(nid{0x0a000001, {2, 1}}.packed() == 0x000200010a000001);
  CHECK(nid::any().packed() == ~std::uint64_t{0});
  kfx_test::rng r(kfx_test::seed("nid round trip"));
  const std::uint16_t kinds[] = {2, 5, 13, 16, 64};
  std::unordered_set<nid> all;
  std::unordered_set<std::string> texts;
  for (int i = 0; i < 5000; ++i) {
    const nid n{
        static_cast<std::uint32_t>(kfx_test::log_uniform(r, 32)),
        {kinds[kfx_test::below(r, std::size(kinds))], static_cast<std::uint16_t>(kfx_test::log_uniform(r, 16))}};
    const std::string text = to_string(n);
    INFO(text);
    const auto back = parse_nid(text);
    REQUIRE(back.has_value());
    REQUIRE(*back == n);
    REQUIRE(nid::unpack(n.packed()) == n);
    all.insert(n);
    texts.insert(text);
  }
  CHECK(all.size() == texts.size());
}

TEST_CASE("random text is read as a NID only if it is one", "[nid][random]") {
  kfx_test::rng r(kfx_test::seed("nid text"));
  const std::string_view letters = "0123456789.@tcpo2ibkfxlogni<?>- ";
  for (int i = 0; i < 20000; ++i) {
    std::string text = i % 2 != 0 ? "10.1.2.3@tcp1" : "";
    const auto changes = kfx_test::below(r, 6) + 1;
    for (std::uint64_t k = 0; k < changes; ++k)
      text.insert(kfx_test::below(r, text.size() + 1), 1, letters[kfx_test::below(r, letters.size())]);
    if (const auto n = parse_nid(text)) {
      INFO(text);
      // Only "tcp0" is not written as it was read.
      REQUIRE((to_string(*n) == text || to_string(*n) + "0" == text));
    }
  }
}
