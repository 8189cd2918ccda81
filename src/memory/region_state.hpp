// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a shared region is inside, and what a key leads to.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "kfx/detail/op_state.hpp"
#include "kfx/types.hpp"

namespace kfx::detail {

struct region_state : std::enable_shared_from_this<region_state> {
  mutable_buffer memory;
  access rights = access::read;
  std::uint64_t key = 0;
  std::uint64_t incarnation = 0;
  /// Unhooks it everywhere and returns when nothing touches the memory for a peer any more. Null once done.
  std::function<void(region_state&)> revoke;
};

}  // namespace kfx::detail

namespace kfx::memory {

/// What a key names within a partition: a region, or one offer.
struct keyed {
  detail::region_state* region = nullptr;
  detail::op_state* offer = nullptr;
};

/// Keys are random but for their top four bits: 0 in those of regions, which every partition of a node knows; in an
/// offer's, which only its peer's partition knows, they say which that is (or one of several, beyond 15).
inline std::uint64_t region_key(std::uint64_t random) noexcept { return random >> 4; }
inline std::uint64_t offer_key(std::uint64_t random, unsigned partition) noexcept {
  return random >> 4 | std::uint64_t{1 + partition % 15} << 60;
}
/// A key that this partition does not know is, or was, an offer to a peer of another one.
inline bool offered_elsewhere(std::uint64_t key, unsigned partition) noexcept {
  return key >> 60 != 0 && key >> 60 != 1 + partition % 15;
}

inline bool allows(access have, access want) noexcept {
  return (static_cast<unsigned>(have) & static_cast<unsigned>(want)) == static_cast<unsigned>(want);
}

}  // namespace kfx::memory
