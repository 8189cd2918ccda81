// SPDX-License-Identifier: BSD-2-Clause
// Options against machines that are only described.
#include "numa/plan.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <set>

using namespace kfx::numa;

namespace {

cpu_list range(int first, int last) {
  cpu_list list(static_cast<std::size_t>(last - first + 1));
  std::iota(list.begin(), list.end(), first);
  return list;
}

/// Two nodes of two cores with two threads each, numbered core by core, and a third node of memory alone.
topology two_nodes() {
  return {{{0, {{0, 1}, {2, 3}}}, {1, {{4, 5}, {6, 7}}}, {2, {}}},
          {{"eth0", 0}, {"eth1", 1}, {"mlx5_0", 1}, {"sda", -1}}};
}

plan make(const std::string& partitions, const std::string& placement = "", const cpu_list& mask = range(0, 7),
          const topology& t = two_nodes()) {
  kfx::options o;
  o.partitions = partitions;
  o.placement = placement;
  return make_plan(o, t, mask);
}

/// "0-3@0 4-7@1": CPUs and node of each.
std::string shape(const plan& p) {
  std::string text;
  for (const place& at : p.partitions)
    text += (text.empty() ? "" : " ") + to_string(at.cpus) + "@" + (at.node < 0 ? "-" : std::to_string(at.node));
  return text;
}

std::string refusal(const std::string& partitions, const std::string& placement = "",
                    const cpu_list& mask = range(0, 7)) {
  try {
    return "made " + shape(make(partitions, placement, mask));
  } catch (const kfx::error& e) {
    CHECK(e.code() == kfx::errc::bad_option);
    return e.what();
  }
}

bool mentions(const std::string& text, const std::string& what) { return text.find(what) != text.npos; }

}  // namespace

TEST_CASE("a partition for each NUMA node that has CPUs in the mask") {
  CHECK(shape(make("")) == "0-3@0 4-7@1");
  CHECK(shape(make("N")) == "0-3@0 4-7@1");
  CHECK(shape(make("", "", {1, 2, 6})) == "1-2@0 6@1");
  CHECK(shape(make("", "", {5})) == "5@1");
}

TEST_CASE("explicit patterns") {
  CHECK(shape(make("0[0-3] 1[4,5,7]")) == "0-3@0 4-5,7@1");
  CHECK(shape(make("0[0,4] 1[1]")) == "0,4@- 1@0");
  CHECK(shape(make("N 0[1] 1[0]")) == "4-7@1 0-3@0");
  CHECK(shape(make("N 0[0,1]")) == "0-7@-");
  CHECK(shape(make("N 0[0,1]", "", {3, 4})) == "3-4@-");
}

TEST_CASE("cores and CPUs that are left out") {
  CHECK(shape(make("C[0]")) == "2-3@0 6-7@1");
  CHECK(shape(make("N C[1] X[0]")) == "1@0 4-5@1");
  CHECK(shape(make("X[0-3]")) == "4-7@1");
}

TEST_CASE("what cannot be had is refused, and says what can") {
  const std::string outside = refusal("0[0] 1[9]", "", range(0, 1));
  CHECK(mentions(outside, "\"0[0] 1[9]\""));
  CHECK(mentions(outside, "partition 1 names CPU 9"));
  CHECK(mentions(outside, "it may use 0-1"));
  CHECK(mentions(outside, "taskset"));
  CHECK(mentions(refusal("0[0] 1[4-7]", "", range(0, 3)), "partition 1 names CPU 4"));
  CHECK(mentions(refusal("N 0[0] 1[3]"), "partition 1 names NUMA node 3, and this machine has 0-2"));
  CHECK(mentions(refusal("N 0[0] 1[1]", "", range(0, 3)), "partition 1 has no CPU left"));
  CHECK(mentions(refusal("N 0[0] 1[2]"), "partition 1 has no CPU left"));
  CHECK(mentions(refusal("0[0-1] X[0-1]"), "partition 0 has no CPU left"));
  CHECK(mentions(refusal("X[0-7]"), "leaves out every CPU"));
  CHECK(mentions(refusal("0[", ""), "at offset 2"));
  CHECK(mentions(refusal("", "node:7"), "it has 0-2"));
  CHECK(mentions(refusal("", "device:eth9"), "there are eth0, eth1, mlx5_0, sda"));
  CHECK(mentions(refusal("", "sideways"), "options::placement is \"sideways\": it takes automatic"));
}

TEST_CASE("one policy for threads, peers and memory") {
  const topology t = two_nodes();
  const plan automatic = make("");
  CHECK(automatic.buffer_node(t, 2) == 0);
  CHECK(automatic.buffer_node(t, 7) == 1);
  CHECK(automatic.buffer_node(t, 99) == -1);
  for (const place& at : automatic.partitions) CHECK(at.pinned);

  for (const char* text : {"node:1", "device:eth1", "device:mlx5_0"}) {
    const plan one = make("", text);
    CHECK(shape(one) == "4-7@1");
    CHECK(one.buffer_node(t, 0) == 1);
    CHECK(mentions(one.why, "node 1"));
  }
  // What has no CPUs has memory.
  const plan memory = make("", "node:2");
  CHECK(shape(memory) == "0-3@0 4-7@1");
  CHECK(memory.buffer_node(t, 0) == 2);
  CHECK(mentions(memory.why, "no CPU"));
  // As near to one as to another.
  const plan disk = make("", "device:sda");
  CHECK(shape(disk) == "0-3@0 4-7@1");
  CHECK(disk.buffer_node(t, 5) == 1);
  CHECK(mentions(disk.why, "as if automatic"));

  const plan off = make("", "off");
  CHECK(shape(off) == "0-7@-");
  CHECK_FALSE(off.partitions[0].pinned);
  CHECK(off.buffer_node(t, 0) == -1);
  CHECK(shape(make("N", "off")) == "0-3@0 4-7@1");
  // Partitions that were asked for stay.
  const plan both = make("0[0-1] 1[4] 2[5]", "node:1");
  CHECK(shape(both) == "0-1@0 4@1 5@1");
  for (int i = 0; i < 100; ++i) CHECK(both.home_of("peer " + std::to_string(i), 0) != 0);
}

TEST_CASE("a peer's home is the same each time, near its device, and peers are spread") {
  const plan p = make("0[0-1] 1[2-3] 2[4-5] 3[6-7]");
  std::map<std::size_t, int> used;
  for (int i = 0; i < 4000; ++i) {
    const std::string name = "tcp://10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200) + ":7400";
    const std::size_t home = p.home_of(name, -1);
    CHECK(p.home_of(name, -1) == home);
    ++used[home];
    CHECK(p.home_of(name, 0) / 2 == 0);
    CHECK(p.home_of(name, 1) / 2 == 1);
    CHECK(p.home_of(name, 2) == home);  // no partition is there
  }
  CHECK(used.size() == 4);
  for (const auto& [home, n] : used) CHECK((n > 800 && n < 1200));
  // The next release must not send peers elsewhere than their buffers.
  CHECK(p.home_of("kfx://store:7400", -1) == make("0[0-1] 1[2-3] 2[4-5] 3[6-7]").home_of("kfx://store:7400", -1));
}

TEST_CASE("random patterns on random machines: partitions are within the mask and share nothing") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 rng(seed);
  int made = 0;
  for (int round = 0; round < 3000; ++round) {
    topology t;
    int cpu = 0;
    for (int n = 0; n < 1 + static_cast<int>(rng() % 4); ++n) {
      t.nodes.push_back({n, {}});
      for (unsigned c = rng() % 4; c > 0; --c) t.nodes.back().cores.push_back({cpu, cpu + 1}), cpu += 2;
    }
    cpu_list mask;
    for (int c = 0; c < cpu; ++c)
      if (rng() % 4) mask.push_back(c);
    if (mask.empty()) continue;
    const char* patterns[] = {"", "N", "C[0]", "X[0,3]", "N 0[0]", "N 0[0] 1[1]", "0[0-1] 1[2-3]", "0[1] X[0]"};
    const char* policies[] = {"", "off", "node:0", "node:1"};
    const std::string pattern = patterns[rng() % std::size(patterns)], policy = policies[rng() % std::size(policies)];
    INFO("\"" << pattern << "\" " << policy << " on " << t.nodes.size() << " nodes, mask " << to_string(mask));
    try {
      const plan p = make(pattern, policy, mask, t);
      ++made;
      REQUIRE_FALSE(p.partitions.empty());
      std::set<int> seen;
      for (const place& at : p.partitions) {
        REQUIRE_FALSE(at.cpus.empty());
        for (const int c : at.cpus) {
          CHECK(std::binary_search(mask.begin(), mask.end(), c));
          CHECK(seen.insert(c).second);
          if (at.node >= 0) CHECK(t.node_of_cpu(c) == at.node);
        }
      }
      CHECK(p.home_of("x", static_cast<int>(rng() % 5) - 1) < p.partitions.size());
    } catch (const kfx::error& e) {
      CHECK(e.code() == kfx::errc::bad_option);
    }
  }
  CHECK(made > 100);
}

TEST_CASE("an interface on top of others is where they are") {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("kfx-interfaces-" + std::to_string(std::random_device{}()));
  const auto stack = [&](const char* upper, std::initializer_list<const char*> lower) {
    fs::create_directories(root / upper);
    for (const char* l : lower) std::ofstream(root / upper / (std::string("lower_") + l));
  };
  stack("vlan7", {"bond0"});
  stack("bond0", {"eth1", "mlx5_0"});
  stack("bridge0", {"eth0", "eth1"});
  stack("loop_a", {"loop_b"});
  stack("loop_b", {"loop_a"});
  stack("lo", {});
  const topology t = two_nodes();
  const auto node = [&](const char* name) { return node_of_interface(t, name, root.string()); };
  CHECK(node("eth0") == 0);
  CHECK(node("bond0") == 1);
  CHECK(node("vlan7") == 1);
  CHECK(node("bridge0") == -1);
  CHECK(node("loop_a") == -1);
  CHECK(node("lo") == -1);
  CHECK(node("none") == -1);
  fs::remove_all(root);
}

TEST_CASE("CPU lists as the system writes them") {
  CHECK(to_string({0, 1, 2, 3, 8}) == "0-3,8");
  CHECK(to_string({5}) == "5");
  CHECK(to_string({}).empty());
}
