// SPDX-License-Identifier: BSD-2-Clause
#include "histogram.hpp"

#include <algorithm>
#include <cmath>

namespace tool {

std::uint64_t histogram::middle_of(std::size_t bucket) noexcept {
  if (bucket < 2u << sub_bits) return bucket;
  const std::size_t shift = (bucket >> sub_bits) - 1;
  const std::uint64_t low = static_cast<std::uint64_t>(bucket - (shift << sub_bits)) << shift;
  return low + ((std::uint64_t{1} << shift) - 1) / 2;
}

std::uint64_t histogram::quantile(double fraction) const noexcept {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
  const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, count_);
  if (rank == 1) return min_;
  if (rank == count_) return max_;
  std::uint64_t seen = 0;
  std::size_t b = 0;
  while ((seen += counts_[b]) < rank) ++b;
  return std::clamp(middle_of(b), min_, max_);
}

}  // namespace tool
