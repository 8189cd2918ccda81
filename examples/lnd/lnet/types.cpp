// SPDX-License-Identifier: BSD-2-Clause
#include "types.hpp"

#include <algorithm>

namespace lnet {

std::size_t length_of(std::span<const fragment> list) noexcept {
  std::size_t sum = 0;
  for (const fragment& f : list) sum += f.size();
  return sum;
}

fragment_list slice(std::span<const fragment> list, std::size_t offset, std::size_t length) {
  fragment_list pieces;
  for (const fragment& f : list) {
    if (length == 0) break;
    if (offset >= f.size()) {
      offset -= f.size();
      continue;
    }
    pieces.push_back(f.subspan(offset, std::min(length, f.size() - offset)));
    length -= pieces.back().size();
    offset = 0;
  }
  return pieces;
}

}  // namespace lnet
