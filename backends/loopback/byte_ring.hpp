// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A queue of byte chunks between one producing and one consuming thread, built and read in place.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>

#include "backends/loopback/native_sync.hpp"
#include "kfx/types.hpp"

namespace kfx::loopback {

/// Chunks are contiguous and start at multiples of 8: one that does not fit before the end of the memory starts
/// again at its beginning, with a `wrap` chunk in the gap.
///
/// Memory order: the producer's release of `published_` makes a chunk's bytes visible to the consumer that acquires
/// it; the consumer's release of `freed_` makes its last read of a chunk happen before the producer, having acquired
/// it, writes there again. Positions grow for ever (64 bits) and never need the two to agree on a lap.
template <class Sync, std::size_t Capacity>
class basic_byte_ring {
 public:
  static constexpr std::size_t capacity = Capacity;
  enum class kind : std::uint32_t { wrap, frames, lent };
  struct chunk {
    basic_byte_ring::kind kind;
    const_buffer bytes;
  };

  // Producer.

  /// At least `at_least` and at most `at_most` bytes to write to; empty when there is no room (or no memory).
  std::span<std::byte> reserve(std::size_t at_least, std::size_t at_most) noexcept;
  /// The first `bytes` of the last reservation become a chunk.
  void commit(kind, std::size_t bytes) noexcept;

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
    basic_byte_ring::kind kind;
    std::uint32_t bytes;
  };
  std::byte* at(std::uint64_t position) const noexcept { return memory_.get() + (position & (capacity - 1)); }

  static constexpr std::size_t round8(std::size_t n) noexcept { return (n + 7) & ~std::size_t{7}; }

  // Made by the producer on first use; the consumer sees it through `published_`.
  std::unique_ptr<std::byte[]> memory_;

  // Each side's own line, so that neither reads the other's more often than it must.
  struct alignas(64) producer {
    std::uint64_t tail = 0;   ///< where the next chunk begins
    std::uint64_t start = 0;  ///< where the last reservation begins: `tail`, or the next beginning
    std::uint64_t seen_freed = 0;
  } producer_;
  alignas(64) typename Sync::template atomic<std::uint64_t> published_{0};
  struct alignas(64) consumer {
    std::uint64_t head = 0;
    std::uint64_t seen_published = 0;
  } consumer_;
  alignas(64) typename Sync::template atomic<std::uint64_t> freed_{0};
};

template <class Sync, std::size_t Capacity>
std::span<std::byte> basic_byte_ring<Sync, Capacity>::reserve(std::size_t at_least, std::size_t at_most) noexcept {
  // Not value-initialised: pages that are never used are never touched.
  if (!memory_) memory_.reset(new (std::nothrow) std::byte[capacity]);
  if (!memory_) return {};
  producer& p = producer_;
  const std::size_t need = sizeof(prefix) + round8(std::max<std::size_t>(at_least, 1));
  for (int look = 0; look < 2; ++look) {
    const std::size_t free = capacity - (p.tail - p.seen_freed);
    const std::size_t to_end = capacity - (p.tail & (capacity - 1));
    std::size_t room = std::min(free, to_end);
    p.start = p.tail;
    if (room < need) {
      p.start = p.tail + to_end;
      room = free > to_end ? free - to_end : 0;
    }
    if (room >= need) return {at(p.start) + sizeof(prefix), std::min(room - sizeof(prefix), round8(at_most))};
    p.seen_freed = freed_.load(std::memory_order_acquire);
  }
  return {};
}

template <class Sync, std::size_t Capacity>
void basic_byte_ring<Sync, Capacity>::commit(kind what, std::size_t bytes) noexcept {
  producer& p = producer_;
  if (p.start != p.tail) {
    const prefix gap{kind::wrap, 0};
    std::memcpy(at(p.tail), &gap, sizeof gap);
    Sync::wrote(at(p.tail), sizeof gap);
  }
  const prefix head{what, static_cast<std::uint32_t>(bytes)};
  std::memcpy(at(p.start), &head, sizeof head);
  Sync::wrote(at(p.start), sizeof head + bytes);
  p.tail = p.start = p.start + sizeof head + round8(bytes);
  published_.store(p.tail, std::memory_order_release);
}

template <class Sync, std::size_t Capacity>
auto basic_byte_ring<Sync, Capacity>::front() noexcept -> std::optional<chunk> {
  consumer& c = consumer_;
  for (;;) {
    if (c.head == c.seen_published) {
      c.seen_published = published_.load(std::memory_order_acquire);
      if (c.head == c.seen_published) return std::nullopt;
    }
    prefix head;
    Sync::reads(at(c.head), sizeof head);
    std::memcpy(&head, at(c.head), sizeof head);
    if (head.kind != kind::wrap) return chunk{head.kind, {at(c.head) + sizeof head, head.bytes}};
    c.head += capacity - (c.head & (capacity - 1));
  }
}

template <class Sync, std::size_t Capacity>
void basic_byte_ring<Sync, Capacity>::pop() noexcept {
  consumer& c = consumer_;
  prefix head;
  std::memcpy(&head, at(c.head), sizeof head);
  Sync::reads(at(c.head), sizeof head + head.bytes);  // until now
  c.head += sizeof head + round8(head.bytes);
  freed_.store(c.head, std::memory_order_release);
}

using byte_ring = basic_byte_ring<native_sync, 256 * 1024>;

}  // namespace kfx::loopback
