// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What brw moves, and how one sees that it arrived. `full`: word i of 8 bytes is seed + i * step, what is left at the
/// end the first bytes of the next word; every byte is looked at. `simple`: the first and the last 8 bytes only.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace lnet::selftest {

enum class check : std::uint8_t { none = 0, simple = 1, full = 2 };
const char* to_string(check) noexcept;

/// Memory has the alignment of a word.
void fill(std::span<std::byte>, check, std::uint64_t seed) noexcept;
/// Where the first wrong byte is, or nothing.
std::optional<std::size_t> verify(std::span<const std::byte>, check, std::uint64_t seed) noexcept;
/// Changes the first and the last word and one of each page, another one with each `round`: when the same pattern is
/// to arrive there again, what did not come shows, and writing all of it anew is spared.
void spoil(std::span<std::byte>, std::size_t round) noexcept;

/// Memory from a page on, written once so that it is there.
class page_buffer {
 public:
  page_buffer() = default;
  explicit page_buffer(std::size_t bytes);  ///< throws std::bad_alloc
  std::span<std::byte> bytes() const noexcept { return {memory_.get(), size_}; }

 private:
  struct release {
    void operator()(std::byte*) const noexcept;
  };
  std::unique_ptr<std::byte, release> memory_;
  std::size_t size_ = 0;
};

}  // namespace lnet::selftest
