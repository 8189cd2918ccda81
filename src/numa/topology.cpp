// SPDX-License-Identifier: BSD-2-Clause
#include "numa/topology.hpp"

#include <sched.h>

#include <algorithm>

namespace kfx::numa {

cpu_list memory_node::cpus() const {
  cpu_list all;
  for (const cpu_list& core : cores) all.insert(all.end(), core.begin(), core.end());
  std::sort(all.begin(), all.end());
  return all;
}

const memory_node* topology::find(int number) const noexcept {
  for (const memory_node& n : nodes)
    if (n.number == number) return &n;
  return nullptr;
}

const device* topology::find(std::string_view name) const noexcept {
  for (const device& d : devices)
    if (d.name == name) return &d;
  return nullptr;
}

int topology::node_of_cpu(int cpu) const noexcept {
  for (const memory_node& n : nodes)
    for (const cpu_list& core : n.cores)
      if (std::find(core.begin(), core.end(), cpu) != core.end()) return n.number;
  return -1;
}

cpu_list own_cpus() {
  cpu_list list;
  // The kernel refuses a set that is smaller than its own.
  for (int most = CPU_SETSIZE; most <= (1 << 16); most *= 2) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(most));
    if (!set) return list;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    for (int c = 0; known && c < most; ++c)
      if (CPU_ISSET_S(static_cast<std::size_t>(c), bytes, set)) list.push_back(c);
    CPU_FREE(set);
    if (known) break;
  }
  return list;
}

bool pin_thread(const cpu_list& cpus) noexcept {
  if (cpus.empty()) return false;
  const auto most = static_cast<std::size_t>(cpus.back()) + 1;
  cpu_set_t* const set = CPU_ALLOC(most);
  if (!set) return false;
  const std::size_t bytes = CPU_ALLOC_SIZE(most);
  CPU_ZERO_S(bytes, set);
  for (const int c : cpus) CPU_SET_S(static_cast<std::size_t>(c), bytes, set);
  const bool done = ::sched_setaffinity(0, bytes, set) == 0;
  CPU_FREE(set);
  return done;
}

std::string to_string(const cpu_list& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (last != i) text += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace kfx::numa
