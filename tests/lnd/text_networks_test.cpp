// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <catch2/catch.hpp>

#include "base/seed.hpp"
#include "networks.hpp"

using lnet::interface_spec;
using lnet::net_spec;
using specs = std::vector<net_spec>;

namespace {

specs read(const std::string& text) {
  specs s;
  std::string why;
  INFO('"' << text << "\": " << why);
  const bool right = lnet::parse_networks(text, s, why);
  INFO(why);
  REQUIRE(right);
  CHECK(why.empty());
  return s;
}

std::string refused(const std::string& text) {
  const specs before{{{lnet::kind_gni, 9}, {}, {}}};
  specs s = before;
  std::string why;
  INFO('"' << text << '"');
  CHECK_FALSE(lnet::parse_networks(text, s, why));
  CHECK_FALSE(why.empty());
  // What was there stays.
  CHECK(s == before);
  return why;
}

std::string joined(const specs& all) {
  std::string text;
  for (const net_spec& s : all) text += (text.empty() ? "" : ",") + to_string(s);
  return text;
}

std::vector<unsigned> random_cpts(kfx_test::rng& r) {
  std::vector<unsigned> cpts;
  for (auto n = kfx_test::below(r, 6); n != 0; --n) cpts.push_back(static_cast<unsigned>(kfx_test::below(r, 12)));
  std::sort(cpts.begin(), cpts.end());
  cpts.erase(std::unique(cpts.begin(), cpts.end()), cpts.end());
  return cpts;
}

specs random_specs(kfx_test::rng& r) {
  const std::uint16_t kinds[] = {2, 5, 13, 16, 64};
  const std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789.:-_/%";
  specs all;
  for (auto n = kfx_test::below(r, 5); n != 0; --n) {
    net_spec s{{kinds[kfx_test::below(r, std::size(kinds))], static_cast<std::uint16_t>(kfx_test::log_uniform(r, 16))},
               {},
               random_cpts(r)};
    for (auto i = kfx_test::below(r, 5); i != 0; --i) {
      std::string name;
      for (auto c = kfx_test::below(r, 15) + 1; c != 0; --c) name += letters[kfx_test::below(r, letters.size())];
      if (std::none_of(s.interfaces.begin(), s.interfaces.end(), [&](auto& other) { return other.name == name; }))
        s.interfaces.push_back({name, random_cpts(r)});
    }
    if (std::none_of(all.begin(), all.end(), [&](auto& other) { return other.net == s.net; })) all.push_back(s);
  }
  return all;
}

}  // namespace

TEST_CASE("networks are read with interfaces and CPTs", "[networks]") {
  CHECK(read("").empty());
  CHECK(read("  ").empty());
  CHECK(read("tcp") == specs{{{2, 0}, {}, {}}});
  CHECK(read("tcp0(eth0)[0,1]") == specs{{{2, 0}, {{"eth0", {}}}, {0, 1}}});
  CHECK(read("kfx0(eth0[0],eth1[1]),tcp1(eth2)[0-3,5]") ==
        specs{{{64, 0}, {{"eth0", {0}}, {"eth1", {1}}}, {}}, {{2, 1}, {{"eth2", {}}}, {0, 1, 2, 3, 5}}});
  CHECK(read("o2ib3[2]") == specs{{{5, 3}, {}, {2}}});
  CHECK(read("tcp,tcp1,tcp2") == specs{{{2, 0}, {}, {}}, {{2, 1}, {}, {}}, {{2, 2}, {}, {}}});
  CHECK(read("kfx(10.0.0.1,fe80::1%eth0)") == specs{{{64, 0}, {{"10.0.0.1", {}}, {"fe80::1%eth0", {}}}, {}}});
  // The same interface on two networks, and CPTs at both levels.
  CHECK(read("kfx(eth0[0-1])[0-3],tcp(eth0)") ==
        specs{{{64, 0}, {{"eth0", {0, 1}}}, {0, 1, 2, 3}}, {{2, 0}, {{"eth0", {}}}, {}}});
  CHECK(read("  kfx ( eth0 [ 0 , 2 - 3 ] , eth1 ) [ 1 ] ,\ttcp ") ==
        specs{{{64, 0}, {{"eth0", {0, 2, 3}}, {"eth1", {}}}, {1}}, {{2, 0}, {}, {}}});
}

TEST_CASE("networks that are none are refused, with the place", "[networks]") {
  struct {
    const char* text;
    unsigned character;
    const char* part;
  } const vectors[] = {
      {",", 1, "a network like"},
      {"tcp,", 5, "a network like"},
      {"tcp,,tcp1", 5, "a network like"},
      {"foo", 1, "a network like"},
      {"tcp65536", 1, "a network like"},
      {"tcp x", 5, "another network"},
      {"lo", 1, "always there"},
      {"tcp,lo", 5, "always there"},
      {"tcp(eth0),tcp(eth1)", 11, "not there before"},
      {"tcp,tcp0", 5, "not there before"},
      {"tcp(eth0,eth0)", 10, "does not have yet"},
      {"tcp(eth0[1],eth0[2])", 13, "does not have yet"},
      {"tcp()", 5, "name of an interface"},
      {"tcp(eth0,)", 10, "name of an interface"},
      {"tcp([0])", 5, "name of an interface"},
      {"tcp(eth0", 9, "\")\""},
      {"tcp(eth0 eth1)", 10, "\")\""},
      {"tcp(eth0))", 10, "another network"},
      {"tcp((eth0))", 5, "name of an interface"},
      {"tcp(eth0[)", 10, "a number"},
      {"tcp(eth0[])", 10, "a number"},
      {"tcp[]", 5, "a number"},
      {"tcp[", 5, "a number"},
      {"tcp[0", 6, "\"]\""},
      {"tcp[0)", 6, "\"]\""},
      {"tcp]", 4, "another network"},
      {"tcp[0,]", 7, "a number"},
      {"tcp[,0]", 5, "a number"},
      {"tcp[3-1]", 7, "not below the first"},
      {"tcp[1-]", 7, "last number"},
      {"tcp[-1]", 5, "a number"},
      {"tcp[0-4/0]", 9, "step of 1"},
      {"tcp[65536]", 5, "65535 at most"},
      {"tcp[99999999999999999999]", 5, "65535 at most"},
      {"tcp[0][1]", 7, "another network"},
      {"tcp[0](eth0)", 7, "another network"},
      {"tcp(eth0)(eth1)", 10, "another network"},
      {"tcp(eth0);tcp1", 10, "another network"},
  };
  for (const auto& v : vectors) {
    const std::string why = refused(v.text);
    INFO(v.text << ": " << why);
    CHECK(why.starts_with("at character " + std::to_string(v.character) + ":"));
    CHECK(why.find(v.part) != why.npos);
  }
  // A complaint shows what there is without what a terminal would take for orders, and not at any length.
  const std::string why = refused("\x1b[31m" + std::string(100000, 'x'));
  CHECK(why.find('\x1b') == why.npos);
  CHECK(why.size() < 200);
}

TEST_CASE("CPTs are read sorted and once each", "[networks]") {
  std::vector<unsigned> cpts;
  std::string why;
  for (const auto& [text, expected] :
       std::vector<std::pair<std::string, std::vector<unsigned>>>{{"0", {0}},
                                                                  {"0-3,5", {0, 1, 2, 3, 5}},
                                                                  {"5,0-1", {0, 1, 5}},
                                                                  {"1,1,0-2", {0, 1, 2}},
                                                                  {"0-7/2", {0, 2, 4, 6}},
                                                                  {"1-8/3,2", {1, 2, 4, 7}},
                                                                  {"65535", {65535}},
                                                                  {" 1 , 2 - 3 ", {1, 2, 3}}}) {
    INFO(text);
    CHECK(lnet::parse_cpts(text, cpts, why));
    CHECK(cpts == expected);
  }
  for (const char* text :
       {"", " ", "a", "1,", ",1", "3-1", "1--2", "1 2", "[1]", "1-2-3", "0-5/0", "0/2", "65536", "1;2"}) {
    INFO('"' << text << '"');
    why.clear();
    cpts = {42};
    CHECK_FALSE(lnet::parse_cpts(text, cpts, why));
    CHECK_FALSE(why.empty());
    CHECK(cpts == std::vector<unsigned>{42});
  }
  CHECK(lnet::cpts_text({0, 1, 2, 5, 7, 8}) == "0-2,5,7-8");
  CHECK(lnet::cpts_text({}).empty());
}

TEST_CASE("networks are written as they are read", "[networks][random]") {
  CHECK(to_string(net_spec{{2, 0}, {}, {}}) == "tcp");
  CHECK(to_string(net_spec{{64, 1}, {{"eth0", {0, 1, 2}}, {"eth1", {}}}, {4}}) == "kfx1(eth0[0-2],eth1)[4]");
  kfx_test::rng r(kfx_test::seed("networks round trip"));
  for (int i = 0; i < 3000; ++i) {
    const specs all = random_specs(r);
    const std::string text = joined(all);
    specs back;
    std::string why;
    INFO(text);
    const bool right = lnet::parse_networks(text, back, why);
    INFO(why);
    REQUIRE(right);
    REQUIRE(back == all);
  }
}

TEST_CASE("networks with random faults are refused or mean something", "[networks][random]") {
  kfx_test::rng r(kfx_test::seed("networks faults"));
  const std::string_view letters = "0123456789()[],-/ ethkfxtcp\t\x01\xff";
  for (int i = 0; i < 20000; ++i) {
    std::string text = joined(random_specs(r));
    for (auto k = kfx_test::below(r, 4) + 1; k != 0; --k) {
      const auto at = kfx_test::below(r, text.size() + 1);
      if (kfx_test::below(r, 2) != 0 && at < text.size())
        text.erase(at, 1 + kfx_test::below(r, 3));
      else
        text.insert(at, 1, letters[kfx_test::below(r, letters.size())]);
    }
    specs s, again;
    std::string why;
    INFO(text);
    if (!lnet::parse_networks(text, s, why)) {
      REQUIRE(why.starts_with("at character "));
      continue;
    }
    INFO(joined(s));
    REQUIRE(lnet::parse_networks(joined(s), again, why));
    REQUIRE(again == s);
  }
}
