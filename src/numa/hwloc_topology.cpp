// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What hwloc knows, and what is assumed without it.

#include "numa/memory_policy.hpp"
#include "numa/topology.hpp"

#ifdef KFX_HAVE_HWLOC
#include <hwloc.h>

#include <algorithm>
#include <functional>
#include <memory>
#endif

namespace kfx::numa {
namespace {

/// What is taken for true where nothing is known: one node, every CPU a core.
topology assumed() {
  topology t;
  t.nodes.push_back({0, {}});
  for (const int c : own_cpus()) t.nodes[0].cores.push_back({c});
  return t;
}

}  // namespace

#ifdef KFX_HAVE_HWLOC

namespace {

struct destroy {
  void operator()(hwloc_topology_t t) const noexcept { ::hwloc_topology_destroy(t); }
};
using handle = std::unique_ptr<hwloc_topology, destroy>;

/// Null when the source cannot be read. `choose` says what to read; this machine unless told otherwise.
handle load(const std::function<bool(hwloc_topology_t)>& choose) {
  hwloc_topology_t t = nullptr;
  if (::hwloc_topology_init(&t) != 0) return nullptr;
  handle h(t);
  ::hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  // Reading must not move this thread from CPU to CPU, and nobody asks for distances.
  ::hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                    HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
  if (!choose(t) || ::hwloc_topology_load(t) != 0) return nullptr;
  return h;
}

cpu_list cpus_of(hwloc_const_bitmap_t set) {
  cpu_list list;
  for (int c = ::hwloc_bitmap_first(set); c >= 0; c = ::hwloc_bitmap_next(set, c)) list.push_back(c);
  return list;
}

/// The cores of a node, of CPUs that no earlier node has: fast memory beside a node's own is near to the same ones.
std::vector<cpu_list> cores_of(hwloc_topology_t t, hwloc_obj_t node, hwloc_bitmap_t taken) {
  std::vector<cpu_list> cores;
  const std::unique_ptr<hwloc_bitmap_s, decltype(&::hwloc_bitmap_free)> left(::hwloc_bitmap_dup(node->cpuset),
                                                                             &::hwloc_bitmap_free);
  ::hwloc_bitmap_andnot(left.get(), left.get(), taken);
  ::hwloc_bitmap_or(taken, taken, left.get());
  for (int c = ::hwloc_bitmap_first(left.get()); c >= 0; c = ::hwloc_bitmap_first(left.get())) {
    const hwloc_obj_t pu = ::hwloc_get_pu_obj_by_os_index(t, static_cast<unsigned>(c));
    const hwloc_obj_t core = pu ? ::hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu) : nullptr;
    cpu_list threads = core ? cpus_of(core->cpuset) : cpu_list{c};
    std::erase_if(threads, [&](int i) { return !::hwloc_bitmap_isset(left.get(), static_cast<unsigned>(i)); });
    for (const int i : threads) ::hwloc_bitmap_clr(left.get(), static_cast<unsigned>(i));
    cores.push_back(std::move(threads));
  }
  return cores;
}

/// The node that a device hangs at, when it is one.
int node_near(hwloc_topology_t t, hwloc_obj_t device) {
  const hwloc_obj_t place = ::hwloc_get_non_io_ancestor_obj(t, device);
  return place && ::hwloc_bitmap_weight(place->nodeset) == 1 ? ::hwloc_bitmap_first(place->nodeset) : -1;
}

topology describe(hwloc_topology_t t) {
  topology all;
  const std::unique_ptr<hwloc_bitmap_s, decltype(&::hwloc_bitmap_free)> taken(::hwloc_bitmap_alloc(),
                                                                              &::hwloc_bitmap_free);
  for (hwloc_obj_t n = nullptr; (n = ::hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, n));)
    all.nodes.push_back({static_cast<int>(n->os_index), {}});
  std::sort(all.nodes.begin(), all.nodes.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  for (memory_node& n : all.nodes)
    n.cores = cores_of(t, ::hwloc_get_numanode_obj_by_os_index(t, static_cast<unsigned>(n.number)), taken.get());
  for (hwloc_obj_t d = nullptr; (d = ::hwloc_get_next_osdev(t, d));)
    if (d->name) all.devices.push_back({d->name, node_near(t, d)});
  return all;
}

hwloc_topology_t own() {
  // Never destroyed: buffers are placed until the very end.
  static const hwloc_topology_t t = load([](hwloc_topology_t) { return true; }).release();
  return t;
}

using node_set = std::unique_ptr<hwloc_bitmap_s, decltype(&::hwloc_bitmap_free)>;

}  // namespace

const topology& machine() {
  static const auto* const all = new topology(own() ? describe(own()) : assumed());
  return *all;
}

result<topology> synthetic(const std::string& description) {
  const handle h =
      load([&](hwloc_topology_t t) { return ::hwloc_topology_set_synthetic(t, description.c_str()) == 0; });
  if (!h) return make_error_code(errc::bad_option);
  return describe(h.get());
}

result<topology> from_xml(const std::string& path) {
  const handle h = load([&](hwloc_topology_t t) { return ::hwloc_topology_set_xml(t, path.c_str()) == 0; });
  if (!h) return make_error_code(errc::bad_option);
  return describe(h.get());
}

bool prefer_node(void* data, std::size_t bytes, int node) noexcept {
  if (!own() || !::hwloc_topology_is_thissystem(own())) return false;
  if (!::hwloc_get_numanode_obj_by_os_index(own(), static_cast<unsigned>(node))) return false;
  const node_set set(::hwloc_bitmap_alloc(), &::hwloc_bitmap_free);
  if (!set || ::hwloc_bitmap_set(set.get(), static_cast<unsigned>(node)) != 0) return false;
  // Not strictly: another node's page is better than none, and reserved huge pages that are not there raise a signal.
  return ::hwloc_set_area_membind(own(), data, bytes, set.get(), HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_BYNODESET) == 0;
}

int node_of_page(const void* address) noexcept {
  if (!own() || !::hwloc_topology_is_thissystem(own())) return -1;
  const node_set set(::hwloc_bitmap_alloc(), &::hwloc_bitmap_free);
  if (!set || ::hwloc_get_area_memlocation(own(), address, 1, set.get(), HWLOC_MEMBIND_BYNODESET) != 0) return -1;
  return ::hwloc_bitmap_first(set.get());
}

#else

const topology& machine() {
  static const auto* const all = new topology(assumed());
  return *all;
}

result<topology> synthetic(const std::string&) { return make_error_code(errc::not_supported); }
result<topology> from_xml(const std::string&) { return make_error_code(errc::not_supported); }
bool prefer_node(void*, std::size_t, int) noexcept { return false; }
int node_of_page(const void*) noexcept { return -1; }

#endif

}  // namespace kfx::numa
