// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Frames whose every byte follows from a number.

#include <cstdint>
#include <vector>

#include "wire/frame.hpp"

namespace kfx_test {

using bytes = std::vector<std::byte>;

inline std::byte pattern(std::uint64_t id, std::size_t i) {
  std::uint64_t x = (id + 1) * 0x9e3779b97f4a7c15u + i * 0xd1b54a32d192ed03u;
  return static_cast<std::byte>((x ^ (x >> 29)) >> 13);
}

inline void fill_pattern(kfx::mutable_buffer into, std::uint64_t id, std::size_t from = 0) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = pattern(id, from + i);
}

inline bool is_pattern(kfx::const_buffer b, std::uint64_t id, std::size_t from = 0) {
  for (std::size_t i = 0; i < b.size(); ++i)
    if (b[i] != pattern(id, from + i)) return false;
  return true;
}

/// What one frame is made from.
struct recipe {
  std::uint64_t id = 0;
  unsigned words = 4;
  std::size_t body = 0;

  std::size_t head_size() const { return std::size_t{words} * 8; }
  std::size_t size() const { return head_size() + body; }

  void head(kfx::mutable_buffer into) const {
    kfx::wire::head h;
    h.length = static_cast<std::uint32_t>(size());
    h.type = kfx::wire::type::write;
    h.words = static_cast<std::uint8_t>(words);
    h.a = id;
    h.b = body;
    kfx::wire::store(into.data(), h);
    fill_pattern(into.subspan(kfx::wire::head_size, head_size() - kfx::wire::head_size), ~id);
  }
  bytes head() const {
    bytes b(head_size());
    head(b);
    return b;
  }
  bytes whole() const {
    bytes b(size());
    head(b);
    fill_pattern(std::span(b).subspan(head_size()), id);
    return b;
  }
};

}  // namespace kfx_test
