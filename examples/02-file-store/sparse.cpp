// SPDX-License-Identifier: BSD-2-Clause
#include "sparse.hpp"

#include <unistd.h>

#include <algorithm>

#include "unique_fd.hpp"

namespace store {

extents_found data_extents(int fd, std::uint64_t from, std::uint64_t size, std::size_t limit) {
  extents_found found;
  std::uint64_t at = from;
  while (at < size && found.list.size() < limit) {
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
      at = size;
      break;
    }
    if (data < 0 && errno == EINVAL) {
      found.list.push_back({at, size - at});
      at = size;
      break;
    }
    check(data, "seek");
    const off_t hole = check(::lseek(fd, data, SEEK_HOLE), "seek");
    const auto begin = std::min<std::uint64_t>(static_cast<std::uint64_t>(data), size);
    const auto end = std::min<std::uint64_t>(static_cast<std::uint64_t>(hole), size);
    if (begin < end) found.list.push_back({begin, end - begin});
    at = std::max(end, at + 1);
  }
  found.next = std::min(at, size);
  found.end = at >= size;
  return found;
}

}  // namespace store
