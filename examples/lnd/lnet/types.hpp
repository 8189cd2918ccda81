// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What every part of LNet knows. Statuses are 0 or a negative errno, as LNet's users and drivers expect.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lnet {

/// Bytes of one PUT or REPLY at most; fragments of one memory descriptor at most.
inline constexpr std::size_t mtu = 1u << 20;
inline constexpr std::size_t max_fragments = 256;
inline constexpr unsigned portal_count = 64;
/// LNet answers pings there itself.
inline constexpr unsigned reserved_portal = 0;
/// What Lustre's own processes call themselves.
inline constexpr std::uint32_t default_pid = 12345;
inline constexpr std::uint32_t any_pid = ~std::uint32_t{0};

/// A piece of memory; what an MD is made of, and what messages are gathered from and scattered to.
using fragment = std::span<std::byte>;
using fragment_list = std::vector<fragment>;

std::size_t length_of(std::span<const fragment>) noexcept;
/// The `length` bytes from `offset` on, as a list of pieces of the same memory; less when there is less.
fragment_list slice(std::span<const fragment>, std::size_t offset, std::size_t length);

}  // namespace lnet
