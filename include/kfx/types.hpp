// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Small value types shared by every verb: buffers, results, rights, lanes, limits.

#include <array>
#include <boost/asio/buffer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kfx {

using clock = std::chrono::steady_clock;
using const_buffer = std::span<const std::byte>;
using mutable_buffer = std::span<std::byte>;

namespace limits {
inline constexpr std::size_t fragments = 256;   ///< spans in one buffer sequence
inline constexpr std::size_t header = 4096;     ///< bytes of a message header
inline constexpr std::size_t name = 255;        ///< bytes of a published name
inline constexpr std::size_t frame = 1u << 20;  ///< largest body of one frame on any wire
}  // namespace limits

/// Rights that an owner grants on its memory.
enum class access : std::uint8_t { read = 1, write = 2, read_write = 3 };

/// How a write became durable.
enum class method : std::uint8_t {
  none,          ///< durability was not asked for
  native_flush,  ///< the transport flushed the target's persistence domain
  owner_flush,   ///< the owner's engine flushed CPU caches
  owner_msync,   ///< the owner's engine synchronised the mapping with its file
};

/// The value of a completed op.
struct done {
  std::size_t bytes = 0;  ///< bytes that moved (for a send: that the receiver took, or of its reply)
  kfx::method method = method::none;
};

/// A logical stream of order within a peer. Cheap: thousands cost nothing while unused.
using lane = std::uint16_t;
inline constexpr lane default_lane = 0;
/// For ops whose order does not matter.
inline constexpr lane unordered = 0xffff;

/// Names an op to `.after`. Zero names none.
using op_id = std::uint64_t;

namespace detail {
template <class R>
concept byte_range = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                     std::is_trivially_copyable_v<std::ranges::range_value_t<R>> &&
                     !std::is_same_v<std::remove_cv_t<std::ranges::range_value_t<R>>, const_buffer> &&
                     !std::is_same_v<std::remove_cv_t<std::ranges::range_value_t<R>>, mutable_buffer>;

/// One span, or a list of spans owned by the caller; passed by value as an argument and copied at submission.
template <class Buffer, bool Mutable>
class buffers {
 public:
  buffers() = default;
  buffers(Buffer one) : one_(one), count_(one.empty() ? 0 : 1) {}
  buffers(std::span<const Buffer> list) : list_(list.data()), count_(list.size()) {}
  buffers(const std::vector<Buffer>& list) : buffers(std::span<const Buffer>(list)) {}
  template <std::size_t N>
  buffers(const std::array<Buffer, N>& list) : buffers(std::span<const Buffer>(list)) {}
  template <byte_range R>
  requires(!Mutable && !std::is_same_v<std::remove_cvref_t<R>, Buffer>) buffers(const R& r)
      : buffers(std::as_bytes(std::span(std::ranges::data(r), std::ranges::size(r)))) {}
  template <byte_range R>
  requires(Mutable && !std::is_same_v<std::remove_cvref_t<R>, Buffer> &&
           !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>) buffers(R&& r)
      : buffers(std::as_writable_bytes(std::span(std::ranges::data(r), std::ranges::size(r)))) {}
  buffers(boost::asio::const_buffer b) requires(!Mutable)
      : buffers(Buffer(static_cast<const std::byte*>(b.data()), b.size())) {}
  buffers(boost::asio::mutable_buffer b) requires(Mutable)
      : buffers(Buffer(static_cast<std::byte*>(b.data()), b.size())) {}

  std::span<const Buffer> list() const noexcept { return list_ ? std::span(list_, count_) : std::span(&one_, count_); }
  std::size_t bytes() const noexcept {
    std::size_t n = 0;
    for (const Buffer& b : list()) n += b.size();
    return n;
  }

 private:
  Buffer one_{};
  const Buffer* list_ = nullptr;
  std::size_t count_ = 0;
};
}  // namespace detail

/// Bytes to move out of: a span, a contiguous range of trivially copyable values, an Asio buffer, or a list of
/// spans. The bytes stay the caller's and must stay unchanged until the op completes.
using const_buffers = detail::buffers<const_buffer, false>;
/// Bytes to move into; the same shapes.
using mutable_buffers = detail::buffers<mutable_buffer, true>;

}  // namespace kfx
