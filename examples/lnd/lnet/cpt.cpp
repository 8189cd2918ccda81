// SPDX-License-Identifier: BSD-2-Clause
#include "cpt.hpp"

#include <algorithm>
#include <stdexcept>

#include "networks.hpp"
#include "text_reader.hpp"

namespace lnet {
namespace {

using cpu_list = std::vector<unsigned>;

bool has(const cpu_list& list, unsigned i) { return std::find(list.begin(), list.end(), i) != list.end(); }

struct pattern {
  bool nodes = false;           ///< `parts` name NUMA nodes, else CPUs
  std::vector<cpu_list> parts;  ///< by partition; none: one for each NUMA node
  cpu_list without_cores;       ///< counted within each NUMA node
  cpu_list without_cpus;
};

/// "3[0-3]".
bool read_part(text_reader& r, std::vector<cpu_list>& parts) {
  const std::size_t at = r.offset();
  unsigned number = 0;
  if (!r.number(number, "a partition's number")) return false;
  if (parts.size() <= number) parts.resize(number + 1);
  if (!parts[number].empty()) return r.complain(at, "the number of a partition that was not there before");
  return r.list(parts[number]);
}

/// A number stands in one partition only.
bool check_parts(text_reader& r, const pattern& p) {
  std::vector<bool> taken;
  for (std::size_t i = 0; i < p.parts.size(); ++i) {
    if (p.parts[i].empty())
      return r.complain(r.offset(), "partition " + std::to_string(i) + " as well (they are numbered from 0)");
    for (const unsigned n : p.parts[i]) {
      if (taken.size() <= n) taken.resize(n + 1);
      if (taken[n])
        return r.complain(r.offset(), (p.nodes ? "NUMA node " : "CPU ") + std::to_string(n) + " in one partition only");
      taken[n] = true;
    }
  }
  return true;
}

bool read_pattern(text_reader& r, pattern& p) {
  p.nodes = r.take("Nn") != '\0';
  while (r.digit())
    if (!read_part(r, p.parts)) return false;
  if (!check_parts(r, p)) return false;
  for (;;) {
    const std::size_t at = r.offset();
    const char c = r.take("CcXx");
    if (c == '\0') break;
    cpu_list& without = c == 'C' || c == 'c' ? p.without_cores : p.without_cpus;
    if (!without.empty()) return r.complain(at, "C[...] and X[...] once each");
    if (!r.list(without)) return false;
  }
  return r.over() || r.complain(r.offset(), "\"N\", partitions like 0[0-3], C[...] and X[...], in this order");
}

/// A pattern against a machine.
class divider {
 public:
  divider(const cpu_topology& t, pattern p) : topology_(t), pattern_(std::move(p)) {}

  /// Empty: `why` says why not.
  std::vector<cpu_list> divide(std::string& why) const {
    std::vector<cpu_list> sets = pattern_.parts.empty() ? one_for_each_node() : parts(why);
    if (!why.empty()) return {};
    if (sets.empty()) why = "it leaves out every CPU that this process may run on (" + cpts_text(all_cpus()) + ")";
    return sets;
  }

  /// The CPUs that count, those of a node and of a core next to each other.
  cpu_list in_order() const {
    cpu_list order;
    for (const cpu_list& core : topology_.cores)
      for (const unsigned c : core)
        if (usable(c) && !has(order, c)) order.push_back(c);
    // Also those of which no core is known.
    for (const unsigned c : topology_.cpus)
      if (usable(c) && !has(order, c)) order.push_back(c);
    return order;
  }

 private:
  cpu_list all_cpus() const {
    cpu_list sorted = topology_.cpus;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }

  bool usable(unsigned cpu) const {
    return has(topology_.cpus, cpu) && !has(pattern_.without_cpus, cpu) && !in_left_out_core(cpu);
  }

  bool in_left_out_core(unsigned cpu) const {
    if (pattern_.without_cores.empty()) return false;
    for (const cpu_list& node : topology_.numa_nodes) {
      unsigned number = 0;
      for (const cpu_list& core : topology_.cores) {
        if (core.empty() || !has(node, core.front())) continue;
        if (has(core, cpu)) return has(pattern_.without_cores, number);
        ++number;
      }
    }
    return false;
  }

  cpu_list usable_of(const cpu_list& cpus) const {
    cpu_list left;
    std::copy_if(cpus.begin(), cpus.end(), std::back_inserter(left), [&](unsigned c) { return usable(c); });
    std::sort(left.begin(), left.end());
    return left;
  }

  std::vector<cpu_list> one_for_each_node() const {
    std::vector<cpu_list> sets;
    for (const cpu_list& node : topology_.numa_nodes)
      if (cpu_list cpus = usable_of(node); !cpus.empty()) sets.push_back(std::move(cpus));
    return sets;
  }

  std::vector<cpu_list> parts(std::string& why) const {
    std::vector<cpu_list> sets;
    for (std::size_t i = 0; i < pattern_.parts.size(); ++i) {
      const std::string name = "partition " + std::to_string(i);
      cpu_list cpus;
      for (const unsigned n : pattern_.parts[i]) {
        if (pattern_.nodes && (n >= topology_.numa_nodes.size() || topology_.numa_nodes[n].empty())) {
          why = name + " names NUMA node " + std::to_string(n) + ", which is not there or has no CPU";
          return {};
        }
        if (!pattern_.nodes && !has(topology_.cpus, n)) {
          why = name + " names CPU " + std::to_string(n) + ", which is not among those that this process may run on (" +
                cpts_text(all_cpus()) + ")";
          return {};
        }
        if (pattern_.nodes)
          cpus.insert(cpus.end(), topology_.numa_nodes[n].begin(), topology_.numa_nodes[n].end());
        else
          cpus.push_back(n);
      }
      sets.push_back(usable_of(cpus));
      if (!sets.back().empty()) continue;
      why = name + " has no CPU left that this process may run on (" + cpts_text(all_cpus()) + ")";
      return {};
    }
    return sets;
  }

  const cpu_topology& topology_;
  const pattern pattern_;
};

std::vector<cpu_list> equal_parts(const cpu_topology& t, unsigned count, std::string& why) {
  const cpu_list order = divider(t, {}).in_order();
  count = std::max(count, 1u);
  if (count > order.size()) {
    why = std::to_string(count) + " partitions are more than this process has CPUs (" + std::to_string(order.size()) +
          ")";
    return {};
  }
  std::vector<cpu_list> sets(count);
  for (std::size_t i = 0, from = 0; i < count; ++i) {
    const std::size_t to = order.size() * (i + 1) / count;
    sets[i].assign(order.begin() + static_cast<std::ptrdiff_t>(from), order.begin() + static_cast<std::ptrdiff_t>(to));
    std::sort(sets[i].begin(), sets[i].end());
    from = to;
  }
  return sets;
}

}  // namespace

bool cpt_table::make(const cpu_topology& t, unsigned partitions, std::string_view text, cpt_table& out,
                     std::string& why) {
  text_reader r(text);
  std::string complaint;
  std::vector<cpu_list> sets;
  if (pattern p; r.over())
    sets = equal_parts(t, partitions, complaint);
  else if (read_pattern(r, p))
    sets = divider(t, std::move(p)).divide(complaint);
  else
    complaint = r.why();
  if (!complaint.empty()) {
    why = std::move(complaint);
    return false;
  }
  out.sets_ = std::move(sets);
  return true;
}

const std::vector<unsigned>& cpt_table::cpus(unsigned cpt) const {
  static const std::vector<unsigned> any;
  if (sets_.empty() && cpt == 0) return any;
  return sets_.at(cpt);
}

unsigned cpt_table::of_nid(nid n, const std::vector<unsigned>& among) const noexcept {
  const std::size_t choices = among.empty() ? count() : among.size();
  if (choices == 1) return among.empty() ? 0 : among.front();
  // Addresses of one network follow one another, and so must not fall into the same part: every bit counts.
  std::uint64_t h = n.packed();
  h = (h ^ h >> 31) * 0x9e3779b97f4a7c15;
  h ^= h >> 32;
  const auto i = static_cast<std::size_t>(h % choices);
  return among.empty() ? static_cast<unsigned>(i) : among[i];
}

}  // namespace lnet
