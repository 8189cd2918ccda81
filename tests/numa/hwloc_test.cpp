// SPDX-License-Identifier: BSD-2-Clause
// What hwloc says of machines: described ones, one that was written down, this one, and one with two NUMA nodes.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "kfx/kfx.hpp"
#include "memory/slab.hpp"
#include "numa/memory_policy.hpp"
#include "numa/plan.hpp"
#include "numa/topology.hpp"

using namespace kfx::numa;

namespace {

std::string first_line(const std::filesystem::path& file) {
  std::string line;
  std::ifstream in(file);
  std::getline(in, line);
  return line;
}

/// Sorted, with its nodes' CPUs: "0: 0-1, 1: 2-3".
std::string nodes_of(const topology& t) {
  std::string text;
  for (const memory_node& n : t.nodes)
    text += (text.empty() ? "" : ", ") + std::to_string(n.number) + ": " + to_string(n.cpus());
  return text;
}

}  // namespace

#ifdef KFX_HAVE_HWLOC

TEST_CASE("described machines") {
  CHECK(nodes_of(synthetic("node:1 core:2 pu:1").value()) == "0: 0-1");
  const topology two = synthetic("node:2 core:2 pu:2").value();
  CHECK(nodes_of(two) == "0: 0-3, 1: 4-7");
  CHECK(two.find(1)->cores == std::vector<cpu_list>{{4, 5}, {6, 7}});
  CHECK(two.node_of_cpu(5) == 1);
  CHECK(two.node_of_cpu(8) == -1);
  CHECK(two.find(2) == nullptr);
  CHECK(two.devices.empty());
  // Fast memory beside a node's own is near to the same CPUs, which stay one partition's.
  const topology fast = synthetic("pack:2 [numa] [numa] core:2 pu:1").value();
  CHECK(fast.nodes.size() == 4);
  kfx::options o;
  CHECK(make_plan(o, fast, {0, 1, 2, 3}).partitions.size() == 2);
  CHECK(synthetic("two nodes").has_error());
}

TEST_CASE("a machine that was written down, with a network card at each node") {
  const char* file = std::getenv("KFX_TEST_XML");
  REQUIRE(file);
  const topology t = from_xml(file).value();
  CHECK(nodes_of(t) == "0: 0-1, 1: 2-3");
  REQUIRE(t.find("eth0"));
  REQUIRE(t.find("eth1"));
  CHECK(t.find("eth0")->node == 1);
  CHECK(t.find("eth1")->node == 0);
  CHECK(node_of_interface(t, "eth0", "/nowhere") == 1);
  kfx::options o;
  o.placement = "device:eth0";
  const plan p = make_plan(o, t, {0, 1, 2, 3});
  REQUIRE(p.partitions.size() == 1);
  CHECK(p.partitions[0].cpus == cpu_list{2, 3});
  CHECK(from_xml("/nowhere.xml").has_error());
}

#endif

TEST_CASE("this machine has the CPUs that this process uses") {
  const topology& t = machine();
  REQUIRE_FALSE(t.nodes.empty());
  const cpu_list mine = own_cpus();
  REQUIRE_FALSE(mine.empty());
  for (const int c : mine) CHECK(t.node_of_cpu(c) >= 0);
  kfx::options o;
  for (const place& at : make_plan(o, t, mine).partitions)
    for (const int c : at.cpus) CHECK(std::binary_search(mine.begin(), mine.end(), c));
  // As the system says.
  const std::filesystem::path system = "/sys/devices/system/node";
  for (const memory_node& n : t.nodes) {
    const std::string cpus = first_line(system / ("node" + std::to_string(n.number)) / "cpulist");
    if (!cpus.empty() && t.nodes.size() > 1) CHECK(cpus == to_string(n.cpus()));
  }
}

TEST_CASE("a thread stays where it is put") {
  const cpu_list mine = own_cpus();
  for (const int c : mine) {
    cpu_list seen;
    std::thread([&] {
      CHECK(pin_thread({c}));
      seen = own_cpus();
    }).join();
    CHECK(seen == cpu_list{c});
  }
  CHECK_FALSE(pin_thread({}));
  CHECK(own_cpus() == mine);
}

// --- what only a machine with two nodes shows: run by tests/vm in one

TEST_CASE("a node of a machine with two NUMA nodes has two partitions", "[.][two]") {
  REQUIRE(machine().nodes.size() == 2);
  CHECK(nodes_of(machine()) == "0: 0-1, 1: 2-3");
  const kfx::node n;
  INFO(n.explain());
  CHECK(n.explain().find("partition 0: CPUs 0-1, NUMA node 0, 1 thread pinned") != std::string::npos);
  CHECK(n.explain().find("partition 1: CPUs 2-3, NUMA node 1, 1 thread pinned") != std::string::npos);
}

TEST_CASE("memory is on the node of whoever allocates it", "[.][two]") {
  kfx::node n;
  for (const int cpu : {0, 3}) {
    std::thread([&, cpu] {
      REQUIRE(pin_thread({cpu}));
      for (const std::size_t bytes : {std::size_t{64}, std::size_t{1} << 20, std::size_t{2} << 20}) {
        const kfx::buffer b = n.allocate(bytes);
        // Touched by the other node's CPU, which must not matter.
        REQUIRE(pin_thread({3 - cpu}));
        std::memset(b.data(), 1, bytes);
        CHECK(node_of_page(b.data()) == cpu / 2);
        CHECK(node_of_page(b.data() + bytes - 1) == cpu / 2);
        REQUIRE(pin_thread({cpu}));
      }
    }).join();
  }
}

TEST_CASE("huge pages are taken where there are any, small ones else", "[.][two]") {
  const auto free_in = [](int node) {
    return std::stoi(first_line("/sys/devices/system/node/node" + std::to_string(node) +
                                "/hugepages/hugepages-2048kB/free_hugepages"));
  };
  const int before = free_in(1);
  REQUIRE(before >= 4);
  {
    const auto s = kfx::memory::slab::make({(4u << 20) + 5, 1});
    CHECK(s->page_size() == 2u << 20);
    CHECK(s->size() == 6u << 20);
    CHECK(s->fd() >= 0);
    CHECK(free_in(1) == before - 3);
    CHECK(kfx::memory::slab::make({4u << 20, 1, false})->page_size() == 4096);
  }
  CHECK(free_in(1) == before);
  // More than that node has come from the other; more than there are come small.
  std::vector<std::shared_ptr<kfx::memory::slab>> all;
  while (free_in(0) + free_in(1) > 0) {
    all.push_back(kfx::memory::slab::make({2u << 20, 1}));
    REQUIRE(all.back()->page_size() == 2u << 20);
    std::memset(all.back()->data(), 1, all.back()->size());
  }
  CHECK(all.size() > static_cast<std::size_t>(before));
  const auto small = kfx::memory::slab::make({2u << 20, 1});
  CHECK(small->page_size() == 4096);
  std::memset(small->data(), 1, small->size());
  CHECK(node_of_page(small->data()) == 1);
}

TEST_CASE("a network card is at its node, and one policy follows it", "[.][two]") {
  for (const char* name : {"eth0", "eth1"}) {
    INFO(name);
    const device* d = machine().find(name);
    REQUIRE(d);
    // virtioN's parent is the device on the bus.
    const auto bus = std::filesystem::canonical(std::filesystem::path("/sys/class/net") / name / "device" / "..");
    CHECK(std::to_string(d->node) == first_line(bus / "numa_node"));
    kfx::node n({.placement = std::string("device:") + name});
    INFO(n.explain());
    CHECK(n.explain().find("NUMA node " + std::to_string(d->node) + ", 1 thread pinned") != std::string::npos);
    CHECK(n.explain().find("partition 1") == std::string::npos);
    const kfx::buffer b = n.allocate(100);
    b.data()[0] = std::byte{1};
    CHECK(node_of_page(b.data()) == d->node);
  }
  CHECK(machine().find("eth0")->node != machine().find("eth1")->node);
}
