// SPDX-License-Identifier: BSD-2-Clause
#include "numa/plan.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/placement_text.hpp"

namespace kfx::numa {
namespace {

using base::cpu_pattern;
using base::placement_policy;

bool has(const std::vector<int>& sorted, int i) { return std::binary_search(sorted.begin(), sorted.end(), i); }

[[noreturn]] void refuse(const char* option, const std::string& value, const std::string& why) {
  throw error(errc::bad_option, std::string("options::") + option + " is \"" + value + "\": " + why);
}

/// The options against the machine.
class planner {
 public:
  planner(const kfx::options& o, const topology& t, const cpu_list& mask) : options_(o), topology_(t), mask_(mask) {}

  plan make() {
    read();
    plan p;
    p.place_memory = policy_.what != placement_policy::kind::off;
    if (policy_.what == placement_policy::kind::node) p.wanted_node = policy_.node;
    if (policy_.what == placement_policy::kind::device) p.wanted_node = device_node();
    if (!pattern_.parts.empty())
      explicit_parts(p);
    else
      default_parts(p);
    for (place& at : p.partitions) at.pinned = p.place_memory;
    p.why = explain(p);
    return p;
  }

 private:
  void read() {
    std::string why;
    auto policy = placement_policy::parse(options_.placement, &why);
    if (!policy) refuse("placement", options_.placement, why);
    policy_ = *std::move(policy);
    auto pattern = cpu_pattern::parse(options_.partitions, &why);
    if (!pattern) refuse("partitions", options_.partitions, why);
    pattern_ = *std::move(pattern);
    if (policy_.what == placement_policy::kind::node && !topology_.find(policy_.node))
      refuse("placement", options_.placement, "this machine has no NUMA node of that number; it has " + node_names());
  }

  int device_node() const {
    if (topology_.find(policy_.device)) return topology_.find(policy_.device)->node;
    std::error_code none;
    if (std::filesystem::exists("/sys/class/net/" + policy_.device, none))
      return node_of_interface(topology_, policy_.device);
    std::string known;
    for (const device& d : topology_.devices) known += (known.empty() ? "" : ", ") + d.name;
    refuse("placement", options_.placement,
           "there is no such device" + (known.empty() ? "; none is known" : "; there are " + known));
  }

  std::string node_names() const {
    cpu_list numbers;
    for (const memory_node& n : topology_.nodes) numbers.push_back(n.number);
    return to_string(numbers);
  }

  bool left_out(int cpu) const {
    if (has(pattern_.without_cpus, cpu)) return true;
    for (const memory_node& n : topology_.nodes)
      for (const int c : pattern_.without_cores) {
        const auto i = static_cast<std::size_t>(c);
        if (i < n.cores.size() && has(n.cores[i], cpu)) return true;
      }
    return false;
  }

  cpu_list usable(cpu_list cpus) const {
    std::erase_if(cpus, [&](int c) { return !has(mask_, c) || left_out(c); });
    return cpus;
  }

  void add(plan& p, cpu_list cpus) const {
    const int first = topology_.node_of_cpu(cpus.front());
    const bool same = std::all_of(cpus.begin(), cpus.end(), [&](int c) { return topology_.node_of_cpu(c) == first; });
    p.partitions.push_back({std::move(cpus), same ? first : -1, true});
  }

  void explicit_parts(plan& p) const {
    for (std::size_t i = 0; i < pattern_.parts.size(); ++i) {
      const std::string name = "partition " + std::to_string(i);
      cpu_list cpus = pattern_.nodes ? cpus_of_nodes(name, pattern_.parts[i]) : pattern_.parts[i];
      for (const int c : cpus)
        if (!pattern_.nodes && !has(mask_, c))
          refuse("partitions", options_.partitions,
                 name + " names CPU " + std::to_string(c) + ", which this process may not use (it may use " +
                     to_string(mask_) + "); take it out, or start the process with another affinity (taskset)");
      cpus = usable(std::move(cpus));
      if (cpus.empty())
        refuse("partitions", options_.partitions,
               name + " has no CPU left that this process may use (it may use " + to_string(mask_) + ")");
      add(p, std::move(cpus));
    }
  }

  cpu_list cpus_of_nodes(const std::string& name, const std::vector<int>& numbers) const {
    cpu_list all;
    for (const int i : numbers) {
      const memory_node* n = topology_.find(i);
      if (!n)
        refuse("partitions", options_.partitions,
               name + " names NUMA node " + std::to_string(i) + ", and this machine has " + node_names());
      const cpu_list cpus = n->cpus();
      all.insert(all.end(), cpus.begin(), cpus.end());
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  /// One for each NUMA node, for the wanted one alone if it has CPUs, for all CPUs where nothing is to be placed or
  /// nothing is known.
  void default_parts(plan& p) const {
    const bool split = p.place_memory || !options_.partitions.empty();
    for (const int wanted : {p.wanted_node, -1}) {
      if (!split || !p.partitions.empty()) break;
      for (const memory_node& n : topology_.nodes) {
        cpu_list cpus = usable(n.cpus());
        if (!cpus.empty() && (wanted < 0 || wanted == n.number)) add(p, std::move(cpus));
      }
    }
    if (!p.partitions.empty()) return;
    cpu_list cpus = usable(mask_);
    if (cpus.empty())
      refuse("partitions", options_.partitions,
             "it leaves out every CPU that this process may use (" + to_string(mask_) + ")");
    add(p, std::move(cpus));
  }

  std::string explain(const plan& p) const {
    const std::string wanted = "NUMA node " + std::to_string(p.wanted_node);
    switch (policy_.what) {
      case placement_policy::kind::off:
        return "off: the system places threads and memory";
      case placement_policy::kind::automatic:
        return "automatic: threads pinned, memory near whoever allocates it, peers by identity and device";
      case placement_policy::kind::node:
        break;
      case placement_policy::kind::device:
        if (p.wanted_node < 0) return "device:" + policy_.device + ": no NUMA node is nearer to it; as if automatic";
        break;
    }
    std::string text = options_.placement + ": memory on " + wanted;
    const bool there = std::any_of(p.partitions.begin(), p.partitions.end(),
                                   [&](const place& at) { return at.node == p.wanted_node; });
    return text + (there ? ", threads and peers too" : ", which has no CPU for this node's threads");
  }

  const kfx::options& options_;
  const topology& topology_;
  const cpu_list& mask_;
  placement_policy policy_;
  cpu_pattern pattern_;
};

/// FNV-1a, and a last mix for its low bits: the same in every build.
std::uint64_t stable_hash(std::string_view text) noexcept {
  std::uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  h ^= h >> 32;
  return (h * 0x9e3779b97f4a7c15) >> 32;
}

}  // namespace

plan make_plan(const kfx::options& o, const topology& t, const cpu_list& mask) { return planner(o, t, mask).make(); }

std::size_t plan::home_of(std::string_view identity, int device_node) const noexcept {
  const int near = wanted_node >= 0 ? wanted_node : place_memory ? device_node : -1;
  const auto fits = [&](const place& p) { return near >= 0 && p.node == near; };
  const auto fitting = static_cast<std::size_t>(std::count_if(partitions.begin(), partitions.end(), fits));
  std::size_t n = stable_hash(identity) % (fitting != 0 ? fitting : partitions.size());
  if (fitting == 0) return n;
  for (std::size_t i = 0;; ++i)
    if (fits(partitions[i]) && n-- == 0) return i;
}

int plan::buffer_node(const topology& t, int cpu) const noexcept {
  if (!place_memory) return -1;
  return wanted_node >= 0 ? wanted_node : t.node_of_cpu(cpu);
}

int node_of_interface(const topology& t, const std::string& name, const std::string& interfaces) {
  if (const device* d = t.find(name)) return d->node;
  // What the system stacks on other interfaces links to them: a few levels at most.
  std::optional<int> node;
  std::error_code e;
  const auto below = [&](const std::string& upper, auto& self, int depth) -> void {
    for (std::filesystem::directory_iterator i(interfaces + "/" + upper, e), end; !e && i != end; i.increment(e)) {
      const std::string entry = i->path().filename().string();
      if (!entry.starts_with("lower_")) continue;
      const std::string lower = entry.substr(6);
      const device* d = t.find(lower);
      if (d) node = !node || *node == d->node ? d->node : -1;
      if (!d && depth < 4) self(lower, self, depth + 1);
    }
  };
  below(name, below, 0);
  return node.value_or(-1);
}

}  // namespace kfx::numa
