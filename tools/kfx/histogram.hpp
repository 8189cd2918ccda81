// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Counts of times in buckets whose width grows with the value: percentiles to 0.4 % in constant memory.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tool {

/// Log-linear: values below 256 are exact, above them each power of two has 128 buckets. One thread.
class histogram {
 public:
  histogram() : counts_(buckets) {}

  void record(std::uint64_t v) noexcept {
    ++counts_[bucket_of(v)];
    ++count_;
    sum_ += v;
    if (v < min_) min_ = v;
    if (v > max_) max_ = v;
  }
  void clear() noexcept { *this = histogram(); }

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t min() const noexcept { return count_ ? min_ : 0; }
  std::uint64_t max() const noexcept { return max_; }
  double mean() const noexcept { return count_ ? static_cast<double>(sum_) / static_cast<double>(count_) : 0; }
  /// The smallest value that at least that fraction of all are not above (nearest rank), within 0.4 %. 0: no values.
  std::uint64_t quantile(double fraction) const noexcept;

 private:
  static constexpr unsigned sub_bits = 7;
  static constexpr std::size_t buckets = (65 - sub_bits) << sub_bits;

  static std::size_t bucket_of(std::uint64_t v) noexcept {
    if (v < 2u << sub_bits) return static_cast<std::size_t>(v);
    const unsigned shift = static_cast<unsigned>(std::bit_width(v)) - (sub_bits + 1);
    return (std::size_t{shift} << sub_bits) + static_cast<std::size_t>(v >> shift);
  }
  static std::uint64_t middle_of(std::size_t bucket) noexcept;

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t min_ = ~std::uint64_t{0};
  std::uint64_t max_ = 0;
};

}  // namespace tool
