// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a kfx message of this driver begins with, little-endian:
///
///      0  u32 magic "kLND"    4  u16 version    6  u16 flags (1: a token follows)
///      8  LNet's header, 72 bytes
///     80  GET whose sink the target writes: the sink's token, 40 bytes

#include <optional>

#include "kfx/kfx.hpp"
#include "wire.hpp"

namespace kfxlnd {

struct wire_message {
  lnet::header hdr{};
  std::optional<kfx::remote_region> sink;

  static constexpr std::size_t bare = 8 + lnet::header::size, largest = bare + kfx::remote_region::encoded_size;
  /// Its bytes, at the beginning of `to`.
  kfx::const_buffer encode(std::span<std::byte, largest> to) const noexcept;
  /// Nothing when it is no such message, or of another version.
  static std::optional<wire_message> decode(kfx::const_buffer) noexcept;
};

}  // namespace kfxlnd
