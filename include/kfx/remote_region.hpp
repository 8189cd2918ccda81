// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The token that names memory of another node.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kfx/error.hpp"
#include "kfx/types.hpp"

namespace kfx {

/// Names `length()` bytes of a region or offer of another node. A value: copy it, slice it, put its bytes into
/// any message. Holding one keeps nothing alive; the owner checks key, bounds and rights on every access.
class remote_region {
 public:
  /// Encoded size; fixed little-endian layout, see docs/wire-format.md.
  static constexpr std::size_t encoded_size = 40;

  remote_region() = default;

  std::uint64_t length() const noexcept { return length_; }
  bool empty() const noexcept { return length_ == 0; }
  bool readable() const noexcept { return flags_ & 1; }
  bool writable() const noexcept { return flags_ & 2; }
  /// Made by `peer::offer`: good for one transfer.
  bool single_use() const noexcept { return flags_ & 4; }
  /// The owner's memory has a persistence domain.
  bool persistent() const noexcept { return flags_ & 8; }

  /// The part [offset, offset+length) of this token, clamped to nothing when outside: an access beyond the
  /// token fails with `out_of_bounds` where it is used. Without a length: the rest.
  remote_region at(std::uint64_t offset, std::uint64_t length = ~std::uint64_t{0}) const noexcept;

  std::array<std::byte, encoded_size> encode() const noexcept;
  /// `protocol_error` when the bytes are no token.
  static result<remote_region> decode(std::span<const std::byte> bytes) noexcept;

  friend bool operator==(const remote_region&, const remote_region&) = default;

  /// For the engine and for backends: what the token is made of.
  struct fields {
    std::uint64_t key = 0;          ///< unguessable, names the region within its owner
    std::uint64_t incarnation = 0;  ///< of the owner: another one makes the token stale
    std::uint64_t offset = 0;       ///< of this slice within the region
    std::uint64_t length = 0;
    std::uint32_t direct = 0;  ///< link-level key valid for `epoch`, 0: none
    std::uint16_t epoch = 0;
    std::uint16_t flags = 0;  ///< 1 read, 2 write, 4 single use, 8 persistent
  };
  explicit remote_region(const fields& f) noexcept
      : key_(f.key),
        incarnation_(f.incarnation),
        offset_(f.offset),
        length_(f.length),
        direct_(f.direct),
        epoch_(f.epoch),
        flags_(f.flags) {}
  fields raw() const noexcept { return {key_, incarnation_, offset_, length_, direct_, epoch_, flags_}; }

 private:
  std::uint64_t key_ = 0;
  std::uint64_t incarnation_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t length_ = 0;
  std::uint32_t direct_ = 0;
  std::uint16_t epoch_ = 0;
  std::uint16_t flags_ = 0;
};

}  // namespace kfx
