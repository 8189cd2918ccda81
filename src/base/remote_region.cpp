// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/remote_region.hpp"

#include <type_traits>

namespace kfx {

namespace {

constexpr std::uint64_t whole_rest = ~std::uint64_t{0};
// A slice outside its token becomes the empty range at this offset: bytes do not fit into its length, and not even
// an empty access fits into a region, since none is so large. Slicing it again gives the same, so that the mistake
// cannot be sliced away.
constexpr std::uint64_t outside = ~std::uint64_t{0};
constexpr std::uint16_t known_flags = 1 | 2 | 4 | 8;

template <class T>
void put(std::byte*& at, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) *at++ = static_cast<std::byte>(value >> (8 * i));
}

template <class T>
void take(const std::byte*& at, T& value) noexcept {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) v |= std::to_integer<std::uint64_t>(*at++) << (8 * i);
  value = static_cast<T>(v);
}

}  // namespace

remote_region remote_region::at(std::uint64_t offset, std::uint64_t length) const noexcept {
  remote_region slice = *this;
  const bool starts_inside = offset <= length_ && offset_ <= outside - offset;
  const std::uint64_t rest = starts_inside ? length_ - offset : 0;
  const std::uint64_t part = length == whole_rest ? rest : length;
  // A token made up by hand may reach past the last address; its slices may not.
  if (starts_inside && part <= rest && part <= outside - (offset_ + offset)) {
    slice.offset_ = offset_ + offset;
    slice.length_ = part;
  } else {
    slice.offset_ = outside;
    slice.length_ = 0;
  }
  return slice;
}

std::array<std::byte, remote_region::encoded_size> remote_region::encode() const noexcept {
  std::array<std::byte, encoded_size> bytes;
  std::byte* at = bytes.data();
  put(at, key_);
  put(at, incarnation_);
  put(at, offset_);
  put(at, length_);
  put(at, direct_);
  put(at, epoch_);
  put(at, flags_);
  return bytes;
}

result<remote_region> remote_region::decode(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() != encoded_size) return make_error_code(errc::protocol_error);
  const std::byte* at = bytes.data();
  fields f;
  take(at, f.key);
  take(at, f.incarnation);
  take(at, f.offset);
  take(at, f.length);
  take(at, f.direct);
  take(at, f.epoch);
  take(at, f.flags);
  const bool wraps = f.length > whole_rest - f.offset;
  // Without a key it can only be the token that names nothing.
  const bool half_made = f.key == 0 && remote_region(f) != remote_region();
  if ((f.flags & ~known_flags) || wraps || half_made) return make_error_code(errc::protocol_error);
  return remote_region(f);
}

}  // namespace kfx
