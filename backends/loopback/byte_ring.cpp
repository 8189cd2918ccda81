// SPDX-License-Identifier: BSD-2-Clause
#include "backends/loopback/byte_ring.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace kfx::loopback {
namespace {
constexpr std::size_t round8(std::size_t n) { return (n + 7) & ~std::size_t{7}; }
}  // namespace

std::span<std::byte> byte_ring::reserve(std::size_t at_least, std::size_t at_most) noexcept {
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

void byte_ring::commit(byte_ring::kind what, std::size_t bytes) noexcept {
  producer& p = producer_;
  if (p.start != p.tail) {
    const prefix gap{kind::wrap, 0};
    std::memcpy(at(p.tail), &gap, sizeof gap);
  }
  const prefix head{what, static_cast<std::uint32_t>(bytes)};
  std::memcpy(at(p.start), &head, sizeof head);
  p.tail = p.start = p.start + sizeof head + round8(bytes);
  published_.store(p.tail, std::memory_order_release);
}

std::optional<byte_ring::chunk> byte_ring::front() noexcept {
  consumer& c = consumer_;
  for (;;) {
    if (c.head == c.seen_published) {
      c.seen_published = published_.load(std::memory_order_acquire);
      if (c.head == c.seen_published) return std::nullopt;
    }
    prefix head;
    std::memcpy(&head, at(c.head), sizeof head);
    if (head.kind != kind::wrap) return chunk{head.kind, {at(c.head) + sizeof head, head.bytes}};
    c.head += capacity - (c.head & (capacity - 1));
  }
}

void byte_ring::pop() noexcept {
  consumer& c = consumer_;
  prefix head;
  std::memcpy(&head, at(c.head), sizeof head);
  c.head += sizeof head + round8(head.bytes);
  freed_.store(c.head, std::memory_order_release);
}

}  // namespace kfx::loopback
