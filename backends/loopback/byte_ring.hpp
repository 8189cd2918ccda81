// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A queue of byte chunks between one producing and one consuming thread, built and read in place.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "kfx/types.hpp"

namespace kfx::loopback {

/// Chunks are contiguous and start at multiples of 8: one that does not fit before the end of the memory starts
/// again at its beginning, with a `wrap` chunk in the gap.
///
/// Memory order: the producer's release of `published_` makes a chunk's bytes visible to the consumer that acquires
/// it; the consumer's release of `freed_` makes its last read of a chunk happen before the producer, having acquired
/// it, writes there again. Positions grow for ever (64 bits) and never need the two to agree on a lap.
class byte_ring {
 public:
  static constexpr std::size_t capacity = 256 * 1024;
  enum class kind : std::uint32_t { wrap, frames, lent };
  struct chunk {
    byte_ring::kind kind;
    const_buffer bytes;
  };

  // Producer.

  /// At least `at_least` and at most `at_most` bytes to write to; empty when there is no room (or no memory).
  std::span<std::byte> reserve(std::size_t at_least, std::size_t at_most) noexcept;
  /// The first `bytes` of the last reservation become a chunk.
  void commit(byte_ring::kind, std::size_t bytes) noexcept;

  // Consumer.

  /// The oldest chunk, which stays where it is until `pop`.
  std::optional<chunk> front() noexcept;
  void pop() noexcept;
  /// Either side; what the other side does meanwhile may not show.
  bool empty() const noexcept {
    return published_.load(std::memory_order_acquire) == freed_.load(std::memory_order_acquire);
  }

 private:
  struct prefix {
    byte_ring::kind kind;
    std::uint32_t bytes;
  };
  std::byte* at(std::uint64_t position) const noexcept { return memory_.get() + (position & (capacity - 1)); }

  // Made by the producer on first use; the consumer sees it through `published_`.
  std::unique_ptr<std::byte[]> memory_;

  // Each side's own line, so that neither reads the other's more often than it must.
  struct alignas(64) producer {
    std::uint64_t tail = 0;   ///< where the next chunk begins
    std::uint64_t start = 0;  ///< where the last reservation begins: `tail`, or the next beginning
    std::uint64_t seen_freed = 0;
  } producer_;
  alignas(64) std::atomic<std::uint64_t> published_{0};
  struct alignas(64) consumer {
    std::uint64_t head = 0;
    std::uint64_t seen_published = 0;
  } consumer_;
  alignas(64) std::atomic<std::uint64_t> freed_{0};
};

}  // namespace kfx::loopback
