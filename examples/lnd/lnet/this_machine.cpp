// SPDX-License-Identifier: BSD-2-Clause
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "cpt.hpp"
#include "networks.hpp"

namespace lnet {
namespace {

/// The CPUs of a file like /sys/devices/system/node/node0/cpulist; none when it says none or is not there.
std::vector<unsigned> cpus_in(const std::string& file) {
  std::ifstream in(file);
  std::string line, why;
  std::vector<unsigned> cpus;
  if (std::getline(in, line)) parse_cpts(line, cpus, why);
  return cpus;
}

std::vector<unsigned> affinity() {
  std::vector<unsigned> cpus;
  for (unsigned most = 1024; cpus.empty() && most <= 1u << 16; most *= 2) {
    cpu_set_t* const set = CPU_ALLOC(most);
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    if (::sched_getaffinity(0, bytes, set) == 0)
      for (unsigned c = 0; c < most; ++c)
        if (CPU_ISSET_S(c, bytes, set)) cpus.push_back(c);
    CPU_FREE(set);
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

}  // namespace

cpu_topology cpu_topology::of_this_machine() {
  const std::string system = "/sys/devices/system/";
  cpu_topology t{affinity(), {}, {}};
  for (const unsigned n : cpus_in(system + "node/online")) {
    t.numa_nodes.resize(n + 1);
    t.numa_nodes[n] = cpus_in(system + "node/node" + std::to_string(n) + "/cpulist");
  }
  const auto known = [&](unsigned cpu) {
    return std::any_of(t.numa_nodes.begin(), t.numa_nodes.end(),
                       [&](const auto& node) { return std::binary_search(node.begin(), node.end(), cpu); });
  };
  // Containers may hide /sys, or show another machine's.
  if (!std::all_of(t.cpus.begin(), t.cpus.end(), known)) t.numa_nodes = {t.cpus};
  for (const auto& node : t.numa_nodes) {
    std::map<unsigned, std::vector<unsigned>> cores;  // by their first CPU
    for (const unsigned cpu : node) {
      const auto threads = cpus_in(system + "cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
      const bool sound = std::binary_search(threads.begin(), threads.end(), cpu);
      cores[sound ? threads.front() : cpu].push_back(cpu);
    }
    for (auto& [first, threads] : cores) t.cores.push_back(std::move(threads));
  }
  return t;
}

}  // namespace lnet
