// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A fuzzer's input as a script: numbers in the order they are asked for, zeros behind the end.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kfx/types.hpp"

namespace kfx::fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

class script {
 public:
  script(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  bool ended() const noexcept { return left_ == 0; }
  template <class T>
  T number() {
    T v{};
    const std::size_t n = sizeof v < left_ ? sizeof v : left_;
    if (n > 0) std::memcpy(&v, data_, n);
    data_ += n;
    left_ -= n;
    return v;
  }
  std::uint8_t u8() { return number<std::uint8_t>(); }
  std::uint16_t u16() { return number<std::uint16_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  /// Mostly small, sometimes anything.
  std::uint64_t odd() {
    const std::uint8_t how = u8();
    return how < 200 ? how : how < 240 ? u16() : how < 250 ? u32() : u64();
  }
  /// At most so many.
  const_buffer bytes(std::size_t most) {
    const std::size_t n = most < left_ ? most : left_;
    const const_buffer found = std::as_bytes(std::span(data_, n));
    data_ += n;
    left_ -= n;
    return found;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace kfx::fuzz
