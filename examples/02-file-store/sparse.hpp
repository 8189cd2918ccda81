// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Where a file has data. Holes are neither read nor sent.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol.hpp"

namespace store {

/// The ranges of data in [from, size), at most `limit` of them, and where to go on. A file system that cannot tell
/// has data everywhere. Throws std::system_error.
struct extents_found {
  std::vector<extent> list;
  std::uint64_t next = 0;
  bool end = false;
};
extents_found data_extents(int fd, std::uint64_t from, std::uint64_t size, std::size_t limit = max_listed);

}  // namespace store
