// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "base/seed.hpp"
#include "cpt.hpp"

using lnet::cpt_table;
using lnet::cpu_topology;
using cpu_list = std::vector<unsigned>;
using sets = std::vector<cpu_list>;

namespace {

/// Two NUMA nodes of four cores with two hardware threads each, numbered as Linux does it: first all the first threads.
cpu_topology two_nodes() {
  cpu_topology t;
  t.cpus.resize(16);
  std::iota(t.cpus.begin(), t.cpus.end(), 0u);
  t.numa_nodes = {{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}};
  for (unsigned c = 0; c < 8; ++c) t.cores.push_back({c, c + 8});
  return t;
}

/// One node, eight cores of one thread.
cpu_topology eight_cpus() {
  cpu_topology t;
  t.cpus = {0, 1, 2, 3, 4, 5, 6, 7};
  t.numa_nodes = {t.cpus};
  for (const unsigned c : t.cpus) t.cores.push_back({c});
  return t;
}

sets made(const cpu_topology& t, unsigned partitions, const std::string& pattern) {
  cpt_table table;
  std::string why;
  const bool right = cpt_table::make(t, partitions, pattern, table, why);
  INFO(pattern << ": " << why);
  REQUIRE(right);
  CHECK(why.empty());
  sets s;
  for (unsigned i = 0; i < table.count(); ++i) s.push_back(table.cpus(i));
  return s;
}

void refused(const cpu_topology& t, unsigned partitions, const std::string& pattern, const std::string& part) {
  cpt_table table;
  std::string why;
  REQUIRE(cpt_table::make(t, 1, "", table, why));
  const cpu_list before = table.cpus(0);
  INFO('"' << pattern << "\", " << partitions);
  CHECK_FALSE(cpt_table::make(t, partitions, pattern, table, why));
  INFO(why);
  CHECK(why.find(part) != why.npos);
  // The old table stands.
  CHECK(table.count() == 1);
  CHECK(table.cpus(0) == before);
}

}  // namespace

TEST_CASE("partitions name CPUs", "[cpt]") {
  CHECK(made(eight_cpus(), 0, "0[0-3] 1[4,5,7]") == sets{{0, 1, 2, 3}, {4, 5, 7}});
  CHECK(made(eight_cpus(), 0, "1[4,5,7]0[0-3]") == sets{{0, 1, 2, 3}, {4, 5, 7}});
  CHECK(made(eight_cpus(), 0, " 0 [ 6 - 7 , 1 ] ") == sets{{1, 6, 7}});
  CHECK(made(eight_cpus(), 0, "0[0-7/2] 1[1-7/2]") == sets{{0, 2, 4, 6}, {1, 3, 5, 7}});
  // The number of partitions does not count where there is a pattern.
  CHECK(made(eight_cpus(), 5, "0[0] 1[1]") == sets{{0}, {1}});
}

TEST_CASE("partitions name NUMA nodes", "[cpt]") {
  cpu_topology four = two_nodes();
  four.numa_nodes = {{0, 1, 8, 9}, {2, 3, 10, 11}, {4, 5, 12, 13}, {6, 7, 14, 15}};
  CHECK(made(four, 0, "N 0[0,1] 1[2,3]") == sets{{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}});
  CHECK(made(four, 0, "n0[3]1[0]") == sets{{6, 7, 14, 15}, {0, 1, 8, 9}});
  CHECK(made(two_nodes(), 0, "N") == sets{{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}});
  CHECK(made(eight_cpus(), 0, "N") == sets{{0, 1, 2, 3, 4, 5, 6, 7}});
}

TEST_CASE("cores and CPUs can be left out", "[cpt]") {
  // Each node's first two cores, with both of their threads.
  CHECK(made(two_nodes(), 0, "C[0-1]") == sets{{2, 3, 10, 11}, {6, 7, 14, 15}});
  CHECK(made(two_nodes(), 0, "N C[3]") == sets{{0, 1, 2, 8, 9, 10}, {4, 5, 6, 12, 13, 14}});
  CHECK(made(two_nodes(), 0, "X[0,15]") == sets{{1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14}});
  CHECK(made(two_nodes(), 0, "c[0] x[1,5]") == sets{{2, 3, 9, 10, 11}, {6, 7, 13, 14, 15}});
  CHECK(made(two_nodes(), 0, "X[1,5] C[0]") == sets{{2, 3, 9, 10, 11}, {6, 7, 13, 14, 15}});
  CHECK(made(two_nodes(), 0, "0[0-3] 1[4-7] C[0]") == sets{{1, 2, 3}, {5, 6, 7}});
  CHECK(made(two_nodes(), 0, "N 0[1] X[4-6]") == sets{{7, 12, 13, 14, 15}});
  // What is not there is left out already, and so is a node of which nothing stays.
  CHECK(made(eight_cpus(), 0, "C[6-20] X[100]") == sets{{0, 1, 2, 3, 4, 5}});
  CHECK(made(two_nodes(), 0, "X[0-3,8-11]") == sets{{4, 5, 6, 7, 12, 13, 14, 15}});
}

TEST_CASE("partitions are as equal as can be, cores and nodes together", "[cpt]") {
  CHECK(made(two_nodes(), 2, "") == sets{{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}});
  CHECK(made(two_nodes(), 4, " ") == sets{{0, 1, 8, 9}, {2, 3, 10, 11}, {4, 5, 12, 13}, {6, 7, 14, 15}});
  CHECK(made(two_nodes(), 8, "")[3] == cpu_list{3, 11});
  CHECK(made(eight_cpus(), 3, "") == sets{{0, 1}, {2, 3, 4}, {5, 6, 7}});
  CHECK(made(eight_cpus(), 8, "").back() == cpu_list{7});
  for (const unsigned one : {0u, 1u}) CHECK(made(eight_cpus(), one, "") == sets{{0, 1, 2, 3, 4, 5, 6, 7}});
}

TEST_CASE("only CPUs that the process may use are in a partition", "[cpt]") {
  cpu_topology t = two_nodes();
  t.cpus = {1, 2, 6, 9};
  CHECK(made(t, 0, "") == sets{{1, 2, 6, 9}});
  CHECK(made(t, 2, "") == sets{{1, 9}, {2, 6}});
  CHECK(made(t, 0, "N") == sets{{1, 2, 9}, {6}});
  // Cores are counted as the machine has them.
  CHECK(made(t, 0, "C[0-1]") == sets{{2}, {6}});
  refused(t, 0, "0[0]", "partition 0 names CPU 0");
  refused(t, 5, "", "5 partitions");
  refused(t, 0, "N 0[0] 1[1] C[2]", "partition 1 has no CPU left");
  t.cpus = {1};
  CHECK(made(t, 0, "N") == sets{{1}});
  refused(t, 0, "N 0[0] 1[1]", "partition 1 has no CPU left");
}

TEST_CASE("patterns that cannot be had are refused", "[cpt]") {
  const cpu_topology t = eight_cpus();
  struct {
    const char* pattern;
    const char* part;
  } const vectors[] = {
      {"0[8]", "partition 0 names CPU 8"},
      {"0[0-8]", "partition 0 names CPU 8"},
      {"0[0-3] 1[3-5]", "CPU 3 in one partition only"},
      {"N 0[0] 1[0]", "NUMA node 0 in one partition only"},
      {"N 0[1]", "partition 0 names NUMA node 1"},
      {"1[0-3]", "partition 0 as well"},
      {"0[0] 2[1]", "partition 1 as well"},
      {"0[0] 0[1]", "at character 6: expected the number of a partition that was not there"},
      {"0[]", "at character 3: expected a number"},
      {"0", "at character 2: expected \"[\""},
      {"0[", "at character 3: expected a number"},
      {"0[0", "at character 4: expected"},
      {"0[3-1]", "not below the first"},
      {"0[0-3/0]", "a step of 1"},
      {"0[0] N", "at character 6"},
      {"NN", "at character 2"},
      {"C", "at character 2"},
      {"C[]", "a number"},
      {"C[0] C[1]", "once each"},
      {"X[0] X[1]", "once each"},
      {"C[0] 0[1]", "at character 6"},
      {"0[0],1[1]", "at character 5"},
      {"Y[0]", "at character 1"},
      {"0[0] X[0]", "partition 0 has no CPU left"},
      {"X[0-7]", "leaves out every CPU"},
      {"C[0-7]", "leaves out every CPU"},
      {"65536[0]", "65535 at most"},
      {"65535[0]", "partition 0 as well"},
      {"-1[0]", "at character 1"},
  };
  for (const auto& v : vectors) refused(t, 0, v.pattern, v.part);
  refused(t, 9, "", "9 partitions are more than this process has CPUs (8)");
  refused(t, ~0u, "", "more than");
}

TEST_CASE("a table that nobody made has one partition", "[cpt]") {
  const cpt_table table;
  CHECK(table.count() == 1);
  CHECK(table.cpus(0).empty());
  CHECK_THROWS_AS(table.cpus(1), std::out_of_range);
  CHECK(table.of_nid(lnet::nid::loopback(), {}) == 0);
}

TEST_CASE("peers are spread over partitions, the same way each time", "[cpt]") {
  cpt_table table, other;
  std::string why;
  REQUIRE(cpt_table::make(eight_cpus(), 4, "", table, why));
  REQUIRE(cpt_table::make(two_nodes(), 4, "", other, why));
  const cpu_list among = {1, 3};
  std::vector<unsigned> all(4), some(4);
  for (std::uint32_t i = 0; i < 1024; ++i) {
    const lnet::nid n{0x0a000000 + i, {64, 0}};
    ++all.at(table.of_nid(n, {}));
    ++some.at(table.of_nid(n, among));
    REQUIRE(table.of_nid(n, {}) == other.of_nid(n, {}));
    REQUIRE(table.of_nid(n, {2}) == 2);
  }
  CHECK(some[0] + some[2] == 0);
  for (const unsigned n : all) CHECK(n > 1024 / 8);
  for (const unsigned cpt : among) CHECK(some[cpt] > 1024 / 4);
}

TEST_CASE("this machine is known", "[cpt]") {
  const cpu_topology t = cpu_topology::of_this_machine();
  REQUIRE_FALSE(t.cpus.empty());
  std::multiset<unsigned> in_nodes, in_cores;
  for (const auto& node : t.numa_nodes) in_nodes.insert(node.begin(), node.end());
  for (const auto& core : t.cores) in_cores.insert(core.begin(), core.end());
  CHECK(in_nodes == in_cores);
  for (const unsigned c : t.cpus) CHECK(in_nodes.count(c) == 1);
  sets s = made(t, 0, "");
  std::sort(s[0].begin(), s[0].end());
  CHECK(s[0] == t.cpus);
  CHECK_FALSE(made(t, 0, "N").empty());
}

TEST_CASE("random patterns give partitions that do not overlap, or a reason", "[cpt][random]") {
  kfx_test::rng r(kfx_test::seed("cpu patterns"));
  const std::string_view letters = "0123456789[]-,/NCX ";
  const cpu_topology machines[] = {eight_cpus(), two_nodes()};
  unsigned right = 0;
  for (int i = 0; i < 20000; ++i) {
    const char* const seeds[] = {"", "N", "0[0-3] 1[4,5,7]", "N 0[0] 1[1]", "C[0-1]", "0[0-3] C[1] X[2]"};
    std::string pattern = seeds[kfx_test::below(r, std::size(seeds))];
    for (auto k = kfx_test::below(r, 4); k != 0; --k)
      pattern.insert(kfx_test::below(r, pattern.size() + 1), 1, letters[kfx_test::below(r, letters.size())]);
    const cpu_topology& t = machines[kfx_test::below(r, 2)];
    cpt_table table;
    std::string why;
    INFO(pattern);
    if (!cpt_table::make(t, static_cast<unsigned>(kfx_test::below(r, 20)), pattern, table, why)) {
      REQUIRE_FALSE(why.empty());
      continue;
    }
    ++right;
    std::set<unsigned> seen;
    for (unsigned p = 0; p < table.count(); ++p) {
      REQUIRE_FALSE(table.cpus(p).empty());
      REQUIRE(std::is_sorted(table.cpus(p).begin(), table.cpus(p).end()));
      for (const unsigned c : table.cpus(p)) {
        REQUIRE(seen.insert(c).second);
        REQUIRE(std::count(t.cpus.begin(), t.cpus.end(), c) == 1);
      }
    }
  }
  CHECK(right > 0);
}
