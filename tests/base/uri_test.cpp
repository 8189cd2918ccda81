// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "kfx/backend/backend.hpp"
#include "seed.hpp"

using kfx::backend::uri;

namespace {

uri good(std::string_view text) {
  std::string why;
  auto u = uri::parse(text, &why);
  INFO(text << ": " << why);
  REQUIRE(u.has_value());
  CHECK(why.empty());
  return *u;
}

std::string bad(std::string_view text) {
  std::string why;
  auto u = uri::parse(text, &why);
  INFO(text);
  REQUIRE(u.has_error());
  CHECK(u.error() == kfx::errc::bad_uri);
  CHECK_FALSE(why.empty());
  CHECK(uri::parse(text).has_error());
  return why;
}

bool same(const uri& a, const uri& b) {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port && a.path == b.path && a.query == b.query;
}

}  // namespace

TEST_CASE("a URI is taken apart", "[uri]") {
  uri u = good("KFX://store.example:7400/a%20b/c?limit=5s&require=verbs");
  CHECK(u.scheme == "kfx");
  CHECK(u.host == "store.example");
  CHECK(u.port == "7400");
  CHECK(u.path == "a b/c");
  CHECK(u.query == std::map<std::string, std::string>{{"limit", "5s"}, {"require", "verbs"}});

  u = good("loop://store");
  CHECK(u.host == "store");
  CHECK(u.port.empty());
  CHECK(u.path.empty());
  CHECK(u.query.empty());

  CHECK(good("tcp://:0").port == "0");
  CHECK(good("tcp://h:065535").port == "65535");
  CHECK(good("shm:///run/x").path == "run/x");
  CHECK(good("loop://x?").query.empty());
  CHECK(good("loop://x?a=").query.at("a").empty());
  CHECK(good("loop://x?a=b=c").query.at("a") == "b=c");
  CHECK(good("loop://x?a=1&").query.size() == 1);
  CHECK(good("loop://a%3Ab").host == "a:b");
  CHECK(good("loop://%C3%A9").host == "\xc3\xa9");
}

TEST_CASE("an IPv6 host stands in brackets and is kept without them", "[uri]") {
  uri u = good("tcp://[fe80::1%25eth0]:7400");
  CHECK(u.host == "fe80::1%eth0");
  CHECK(u.port == "7400");
  CHECK(u.to_string() == "tcp://[fe80::1%25eth0]:7400");
  CHECK(good("tcp://[::1]").host == "::1");
  CHECK(good("tcp://[::ffff:10.0.0.1]:1/x").to_string() == "tcp://[::ffff:10.0.0.1]:1/x");
}

TEST_CASE("what is wrong with a URI is said", "[uri]") {
  const std::pair<const char*, const char*> vectors[] = {
      {"", "empty"},
      {"host:7400", "no \"://\""},
      {"://host", "no scheme"},
      {"1tcp://host", "scheme is a letter"},
      {"t_cp://host", "scheme is a letter"},
      {"tcp://", "no host"},
      {"tcp:///", "no host"},
      {"tcp://?limit=5s", "no host"},
      {"tcp://host:", "port after ':' is missing"},
      {"tcp://host:http", "no number from 0 to 65535"},
      {"tcp://host:65536", "no number from 0 to 65535"},
      {"tcp://host:-1", "no number from 0 to 65535"},
      {"tcp://host:+1", "no number from 0 to 65535"},
      {"tcp://host:99999999999999999999", "no number from 0 to 65535"},
      {"tcp://::1:7400", "brackets"},
      {"tcp://[::1:7400", "not closed"},
      {"tcp://[host]:7400", "no IPv6 address"},
      {"tcp://[]:7400", "no IPv6 address"},
      {"tcp://[fe80::1%25]:7400", "no IPv6 address"},
      {"tcp://[::1]7400", "may follow"},
      {"tcp://me@host", "user name"},
      {"tcp://host#x", "fragment"},
      {"tcp://ho st", "space or control"},
      {"tcp://host\n", "space or control"},
      {"tcp://ho%2", "hexadecimal"},
      {"tcp://ho%zz", "hexadecimal"},
      {"tcp://host/%", "hexadecimal"},
      {"tcp://host?a=%1", "hexadecimal"},
      {"tcp://host/%00", "zero byte"},
      {"tcp://host?limit", "key=value"},
      {"tcp://host?=5s", "key=value"},
      {"tcp://host?&a=1", "key=value"},
      {"tcp://host?a=1&a=2", "twice"},
  };
  for (const auto& [text, part] : vectors) CHECK_THAT(bad(text), Catch::Contains(part));
  CHECK_THAT(bad("tcp://" + std::string(5000, 'x')), Catch::Contains("longer"));
  CHECK_THAT(bad(std::string_view("tcp://a\0b", 9)), Catch::Contains("control"));
  // The sentence is for terminals and logs: no raw bytes of a stranger in it.
  CHECK_THAT(bad("tcp://\x1b[2J"), Catch::Contains("\\x1b") && !Catch::Contains("\x1b"));
}

TEST_CASE("URIs built from any parts survive the round trip", "[uri][random]") {
  const std::uint64_t seed = kfx_test::seed("uri round trip");
  kfx_test::rng r(seed);
  INFO("KFX_TEST_SEED=" << seed);
  auto any_text = [&](std::size_t least) {
    std::string s;
    const auto n = least + kfx_test::below(r, 12);
    for (std::size_t i = 0; i < n; ++i) s += static_cast<char>(1 + kfx_test::below(r, 255));
    return s;
  };
  for (int i = 0; i < 20000; ++i) {
    uri u;
    u.scheme = kfx_test::below(r, 2) ? "tcp" : "x+y-2.z";
    u.host = kfx_test::below(r, 4) ? any_text(1) : "2001:db8::" + std::to_string(kfx_test::below(r, 9999));
    if (kfx_test::below(r, 2)) u.port = std::to_string(kfx_test::below(r, 65536));
    if (kfx_test::below(r, 2)) u.path = any_text(0);
    for (auto n = kfx_test::below(r, 4); n > 0; --n) u.query[any_text(1)] = any_text(0);
    std::string why;
    const auto again = uri::parse(u.to_string(), &why);
    INFO(u.to_string() << ": " << why);
    REQUIRE(again.has_value());
    REQUIRE(same(*again, u));
  }
}

TEST_CASE("any bytes either are a URI that round-trips or get a reason", "[uri][random]") {
  const std::uint64_t seed = kfx_test::seed("uri garbage");
  kfx_test::rng r(seed);
  INFO("KFX_TEST_SEED=" << seed);
  const std::string pieces[] = {"tcp", "://", "[",   "]",   ":", "/",    "?", "&",   "=",
                                "%",   "%41", "%00", "::1", "@", "7400", "a", "\xff"};
  std::size_t accepted = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string text = kfx_test::below(r, 2) ? "tcp://" : "";
    for (auto n = kfx_test::below(r, 10); n > 0; --n) text += pieces[kfx_test::below(r, std::size(pieces))];
    std::string why;
    const auto u = uri::parse(text, &why);
    INFO(text << ": " << why);
    if (u) {
      ++accepted;
      const auto again = uri::parse(u->to_string());
      REQUIRE(again.has_value());
      REQUIRE(same(*again, *u));
    } else {
      REQUIRE(u.error() == kfx::errc::bad_uri);
      REQUIRE_FALSE(why.empty());
    }
  }
  CHECK(accepted > 100);
}
