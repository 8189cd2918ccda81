// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Where pages come from.

#include <cstddef>

namespace kfx::numa {

/// Has the pages of a fresh mapping come from that node while it has some. False: this machine has no such node, or
/// does not let this process choose (or there is no hwloc). Any thread.
bool prefer_node(void* data, std::size_t bytes, int node) noexcept;
/// The node that the page at this address came from, or -1. The page must have been touched.
int node_of_page(const void* address) noexcept;

}  // namespace kfx::numa
