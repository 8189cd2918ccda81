// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a side writes and the other only reads, in front of its ring: lines that do not disturb each other.

#include <array>
#include <cstddef>
#include <cstdint>

#include "backends/shm/shm_fence.hpp"

namespace kfx::shm {

using busy_words = basic_busy<native_words>;
using live_word = basic_live<native_words>;

/// Keys that a side can share at a time.
inline constexpr std::size_t most_keys = 4096;

/// Whether a side accesses the other's memory through the kernel.
enum class reach : std::uint32_t { unknown, yes, no };

/// All zero at first.
struct page {
  std::uint64_t freed;                                  ///< how far it has read the other's ring
  alignas(128) busy_words busy;                         ///< as initiator
  alignas(128) std::atomic<reach> reaches;              ///< as initiator
  std::array<std::uint64_t, 2> nonce;                   ///< shows that an address is one of this very process
  std::uint64_t zero;                                   ///< for ever
  alignas(128) std::atomic<std::uint64_t> done;         ///< as owner: the kernel ended the access of that stamp
  alignas(4096) std::array<live_word, most_keys> live;  ///< as owner: the key in each slot, 0 when there is none
};
static_assert(sizeof(page) == 4096 + most_keys * sizeof(std::uint32_t) && sizeof(page) % 4096 == 0);

/// What a peer must know of these pages to access them, and its owner's memory, through the kernel.
inline constexpr std::size_t ring_offset = sizeof(page);

}  // namespace kfx::shm
