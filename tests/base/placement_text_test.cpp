// SPDX-License-Identifier: BSD-2-Clause
// The text of options::partitions and options::placement.
#include "base/placement_text.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "kfx/options.hpp"

using kfx::base::cpu_pattern;
using kfx::base::placement_policy;

namespace {

cpu_pattern read(const std::string& text) {
  std::string why;
  const auto p = cpu_pattern::parse(text, &why);
  INFO("\"" << text << "\": " << why);
  REQUIRE(p.has_value());
  CHECK(why.empty());
  return *p;
}

std::string complaint(const std::string& text) {
  std::string why;
  INFO("\"" << text << "\"");
  const auto p = cpu_pattern::parse(text, &why);
  REQUIRE(p.has_error());
  CHECK(p.error() == kfx::errc::bad_option);
  CHECK(cpu_pattern::parse(text).has_error());
  return why;
}

}  // namespace

TEST_CASE("patterns of CPUs, of NUMA nodes, and what is left out", "[pattern]") {
  using lists = std::vector<std::vector<int>>;
  const lists two{{0, 1, 2, 3}, {4, 5, 7}};
  CHECK(read("0[0-3] 1[4,5,7]") == cpu_pattern{false, two});
  CHECK(read("1[7,4-5] 0[3,2,1,0]") == cpu_pattern{false, two});
  CHECK(read("0[0-3]1[4,5,7]") == cpu_pattern{false, two});
  CHECK(read(" 0 [ 0 - 3 ]\t1 [4 , 5,7] ") == cpu_pattern{false, two});
  CHECK(read("0[0-6/2] 1[1-4/2,5]") == cpu_pattern{false, {{0, 2, 4, 6}, {1, 3, 5}}});
  CHECK(read("0[65535]") == cpu_pattern{false, {{65535}}});
  const cpu_pattern each{true};
  CHECK(read("N") == each);
  CHECK(read("n") == each);
  CHECK(read("") == each);
  CHECK(read("  ") == each);
  CHECK(read("N 0[0,1] 1[2,3]") == cpu_pattern{true, {{0, 1}, {2, 3}}});
  CHECK(read("N 0[0] 1[1]") == cpu_pattern{true, {{0}, {1}}});
  CHECK(read("C[0-1]") == cpu_pattern{true, {}, {0, 1}});
  CHECK(read("X[0,8-9]") == cpu_pattern{true, {}, {}, {0, 8, 9}});
  CHECK(read("N x[7] c[2]") == cpu_pattern{true, {}, {2}, {7}});
  CHECK(read("0[0-3] X[1]") == cpu_pattern{false, {{0, 1, 2, 3}}, {}, {1}});
}

TEST_CASE("what is no pattern is refused with the offset and what was expected", "[pattern]") {
  struct vector {
    const char* text;
    const char* says;
  };
  const vector wrong[] = {
      {"zero", "at offset 0: expected \"N\", a partition like 0[0-3], C[...] or X[...], in this order, found \"zero\""},
      {"0", "at offset 1: expected \"[\" and a list of numbers, found its end"},
      {"0[zero]", "at offset 2: expected a number, found \"zero]\""},
      {"0[]", "at offset 2: expected a number, found \"]\""},
      {"0[1", "at offset 3: expected \",\" or \"]\", found its end"},
      {"0[1,]", "at offset 4: expected a number, found \"]\""},
      {"0[1;2]", "at offset 3: expected \",\" or \"]\", found \";2]\""},
      {"0[3-1]", "at offset 4: expected a last number not below the first, found \"1]\""},
      {"0[1-]", "at offset 4: expected the last number of the range, found \"]\""},
      {"0[0-4/0]", "at offset 6: expected a step of 1 at least, found \"0]\""},
      {"0[0-4/]", "at offset 6: expected the step of the range, found \"]\""},
      {"0[-1]", "at offset 2: expected a number, found \"-1]\""},
      {"0[65536]", "at offset 2: expected a number of 65535 at most, found \"65536]\""},
      {"0[99999999999999999999]", "at offset 2: expected a number of 65535 at most, found \"99999999999999"},
      {"1[0]", "at offset 4: expected partition 0 as well (they count from 0), found its end"},
      {"0[0] 2[1] X[1]", "at offset 10: expected partition 1 as well (they count from 0), found \"X[1]\""},
      {"0[0] 0[1]", "at offset 5: expected the number of a partition that was not there before, found \"0[1]\""},
      {"0[0-3,2]", "at offset 6: expected a number that the list does not have yet, found \"2]\""},
      {"C[0] X[1] C[2]", "at offset 10: expected C[...] and X[...] once each, found \"C[2]\""},
      {"0[0-3] 1[3]", "at offset 9: expected numbers that no other partition has (3 is in partition 0)"},
      {"X[0] 0[1]", "at offset 5: expected \"N\""},
      {"0[0] N", "at offset 5: expected \"N\""},
      {"N N", "at offset 2: expected \"N\""},
      {"C", "at offset 1: expected \"[\""},
      {"N;", "at offset 1: expected"},
      {"0[0]]", "at offset 4: expected"},
  };
  for (const vector& v : wrong) {
    const std::string why = complaint(v.text);
    INFO(v.text);
    CHECK(why.substr(0, std::string(v.says).size()) == v.says);
  }
}

TEST_CASE("a pattern survives its own text", "[pattern]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 rng(seed);
  const auto some = [&](int below) {
    std::vector<int> list;
    for (int i = 0; i < below; ++i)
      if (rng() % 3 == 0) list.push_back(i);
    return list;
  };
  for (int round = 0; round < 2000; ++round) {
    cpu_pattern p{rng() % 2 == 0};
    const std::size_t parts = rng() % 5;
    for (int cpu = 0; parts != 0 && cpu < 40; ++cpu) {
      p.parts.resize(parts);
      p.parts[cpu < static_cast<int>(parts) ? static_cast<std::size_t>(cpu) : rng() % parts].push_back(cpu);
    }
    if (parts == 0) p.nodes = true;
    if (rng() % 2) p.without_cores = some(8);
    if (rng() % 2) p.without_cpus = some(40);
    INFO(p.to_string());
    CHECK(read(p.to_string()) == p);
  }
}

TEST_CASE("text of any kind is read or refused, and never both", "[pattern]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 rng(seed);
  constexpr char letters[] = "0123456789[]-,/ NCXncx\t:;";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::size_t n = rng() % 20; n > 0; --n) text += letters[rng() % (sizeof letters - 1)];
    std::string why;
    const auto p = cpu_pattern::parse(text, &why);
    if (p.has_value() != why.empty()) FAIL("\"" << text << "\": " << why);
    if (p) CHECK(cpu_pattern::parse(p->to_string()).value() == *p);
  }
}

TEST_CASE("policies", "[pattern]") {
  using kind = placement_policy::kind;
  const auto get = [](const char* text) { return placement_policy::parse(text).value(); };
  CHECK(get("") == placement_policy{});
  CHECK(get("automatic") == placement_policy{});
  CHECK(get("off") == placement_policy{kind::off});
  CHECK(get("node:0") == placement_policy{kind::node, 0});
  CHECK(get("node:65535") == placement_policy{kind::node, 65535});
  CHECK(get("device:eth0") == placement_policy{kind::device, -1, "eth0"});
  for (const char* text : {"on", "node", "node:", "node:x", "node:1x", "node:-1", "node:65536", "device:", "Off"}) {
    kfx::options o;
    std::string why;
    INFO(text);
    CHECK(o.set("placement", text, &why) == kfx::errc::bad_option);
    CHECK(why.find("node:N") != why.npos);
    CHECK(o.placement.empty());
  }
}

TEST_CASE("the knobs take what can be read and keep what they had otherwise", "[pattern]") {
  kfx::options o;
  CHECK_FALSE(o.set("partitions", "0[0] 1[1]"));
  CHECK_FALSE(o.set("placement", "node:1"));
  std::string why;
  CHECK(o.set("partitions", "0[0", &why) == kfx::errc::bad_option);
  CHECK(why.find("at offset 3") != why.npos);
  CHECK(o.partitions == "0[0] 1[1]");
  CHECK(o.placement == "node:1");
}
