// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Fixed-size blocks from chunks that are never given back before the pool dies: an index that a peer sends may
/// therefore be looked up at any time, and a stale pointer reads an old block, not unmapped memory.

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace kfx::base {

/// Untyped blocks. Any thread, lock-free but for growing. The bytes of a free block are left alone, so that what its
/// last user wrote (a generation, say) is there for the next one.
class block_pool {
 public:
  static constexpr std::uint32_t no_index = 0xffffffff;
  static constexpr std::size_t chunk_bytes = 256 * 1024;
  /// Called once for each block of a new chunk before anybody can see it. Must not throw.
  using initialise = std::function<void(void* block, std::uint32_t index)>;

  /// `block_size` is at most a quarter of a chunk; `align` a power of two up to 4096. Indices stay below
  /// `index_limit` (at most 2^24, at least 8192); a few of them stay unused, see `max_capacity`.
  explicit block_pool(std::size_t block_size, std::size_t align = 64, std::uint32_t index_limit = 1u << 24,
                      initialise init = {})
      : stride_((block_size + align - 1) / align * align),
        slots_(static_cast<std::uint32_t>((chunk_bytes - sizeof(chunk) - align) / (stride_ + sizeof(next_index)))),
        first_((sizeof(chunk) + sizeof(next_index) * slots_ + align - 1) / align * align),
        shift_(static_cast<std::uint32_t>(std::bit_width(slots_ - 1))),
        max_chunks_(index_limit >> shift_ ? index_limit >> shift_ : 1),
        init_(std::move(init)),
        chunks_(std::make_unique<std::atomic<chunk*>[]>(max_chunks_)) {}

  block_pool(const block_pool&) = delete;
  block_pool& operator=(const block_pool&) = delete;
  ~block_pool() {
    for (std::uint32_t i = 0; i < used_chunks_; ++i) std::free(chunks_[i].load(std::memory_order_relaxed));
  }

  /// Null when memory or indices have run out.
  void* allocate() noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint32_t index = low(head);
      if (index == no_index) {
        if (!grow()) return nullptr;
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      const std::uint32_t next = next_of(index).load(std::memory_order_relaxed);
      // The tag makes this fail if `index` left and came back, with another successor, since the load.
      if (head_.compare_exchange_weak(head, pack(next, tag(head) + 1), std::memory_order_acquire)) return block(index);
    }
  }

  void free(void* p) noexcept { free_index(index_of(p)); }

  void free_index(std::uint32_t index) noexcept { push(index, index); }

  /// The block of that index, in use or not; null when there is none. Safe for any number.
  void* at(std::uint32_t index) const noexcept {
    if ((index >> shift_) >= max_chunks_ || slot(index) >= slots_) return nullptr;
    chunk* c = chunks_[index >> shift_].load(std::memory_order_acquire);
    return c ? address(c, slot(index)) : nullptr;
  }

  /// `p` is a block of this pool.
  std::uint32_t index_of(const void* p) const noexcept {
    const auto where = reinterpret_cast<std::uintptr_t>(p);
    const auto base = where & ~std::uintptr_t{chunk_bytes - 1};
    const auto place = static_cast<std::uint32_t>((where - base - first_) / stride_);
    return reinterpret_cast<const chunk*>(base)->base_index + place;
  }

  /// Blocks there are, in use or free.
  std::size_t capacity() const noexcept { return std::size_t{chunk_count_.load(std::memory_order_relaxed)} * slots_; }
  std::size_t max_capacity() const noexcept { return std::size_t{max_chunks_} * slots_; }

  /// Every block there is; nobody else uses the pool meanwhile.
  template <class F>
  void for_each(F f) {
    for (std::uint32_t c = 0; c < used_chunks_; ++c)
      for (std::uint32_t s = 0; s < slots_; ++s) f(address(chunks_[c].load(std::memory_order_acquire), s));
  }

 private:
  using next_index = std::atomic<std::uint32_t>;
  // A chunk is aligned to its size, so that a block's address leads to it. Links stand apart from the blocks.
  struct alignas(64) chunk {
    std::uint32_t base_index = 0;
  };

  static std::uint32_t low(std::uint64_t v) noexcept { return static_cast<std::uint32_t>(v); }
  static std::uint32_t tag(std::uint64_t v) noexcept { return static_cast<std::uint32_t>(v >> 32); }
  static std::uint64_t pack(std::uint32_t index, std::uint32_t tag) noexcept {
    return std::uint64_t{tag} << 32 | index;
  }
  static next_index* links(chunk* c) noexcept { return reinterpret_cast<next_index*>(c + 1); }

  std::uint32_t slot(std::uint32_t index) const noexcept { return index & ((1u << shift_) - 1); }
  void* address(chunk* c, std::uint32_t s) const noexcept {
    return reinterpret_cast<std::byte*>(c) + first_ + s * stride_;
  }
  chunk* chunk_of(std::uint32_t index) const noexcept {
    return chunks_[index >> shift_].load(std::memory_order_acquire);
  }
  void* block(std::uint32_t index) const noexcept { return address(chunk_of(index), slot(index)); }
  next_index& next_of(std::uint32_t index) const noexcept { return links(chunk_of(index))[slot(index)]; }

  void push(std::uint32_t first, std::uint32_t last) noexcept {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      next_of(last).store(low(head), std::memory_order_relaxed);
    } while (!head_.compare_exchange_weak(head, pack(first, tag(head) + 1), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  bool grow() noexcept {
    std::lock_guard lock(grow_mutex_);
    if (low(head_.load(std::memory_order_acquire)) != no_index) return true;  // somebody else did
    if (used_chunks_ == max_chunks_) return false;
    void* memory = std::aligned_alloc(chunk_bytes, chunk_bytes);
    if (!memory) return false;
    auto* c = new (memory) chunk{used_chunks_ << shift_};
    for (std::uint32_t s = 0; s < slots_; ++s) {
      new (links(c) + s) next_index(s + 1 < slots_ ? c->base_index + s + 1 : no_index);
      if (init_) init_(address(c, s), c->base_index + s);
    }
    chunks_[used_chunks_++].store(c, std::memory_order_release);
    chunk_count_.store(used_chunks_, std::memory_order_relaxed);
    push(c->base_index, c->base_index + slots_ - 1);
    return true;
  }

  alignas(64) std::atomic<std::uint64_t> head_{no_index};
  alignas(64) const std::size_t stride_;
  const std::uint32_t slots_;
  const std::size_t first_;
  const std::uint32_t shift_;
  const std::uint32_t max_chunks_;
  const initialise init_;
  const std::unique_ptr<std::atomic<chunk*>[]> chunks_;
  std::atomic<std::uint32_t> chunk_count_{0};
  std::uint32_t used_chunks_ = 0;  // under grow_mutex_
  std::mutex grow_mutex_;
};

/// A pool of T, each constructed once, when its chunk is made, and destroyed with the pool: `allocate` hands out an
/// object as its last user left it. T's default constructor must not throw.
template <class T>
class object_pool {
 public:
  using initialise = std::function<void(T&, std::uint32_t index)>;

  explicit object_pool(std::uint32_t index_limit = 1u << 24, initialise init = {})
      : blocks_(sizeof(T), alignof(T) > 64 ? alignof(T) : 64, index_limit,
                [init = std::move(init)](void* p, std::uint32_t index) {
                  static_assert(std::is_nothrow_default_constructible_v<T>);
                  T* object = new (p) T();
                  if (init) init(*object, index);
                }) {}
  ~object_pool() {
    blocks_.for_each([](void* p) { static_cast<T*>(p)->~T(); });
  }

  T* allocate() noexcept { return static_cast<T*>(blocks_.allocate()); }
  void free(T* p) noexcept { blocks_.free(p); }
  T* at(std::uint32_t index) const noexcept { return static_cast<T*>(blocks_.at(index)); }
  std::uint32_t index_of(const T* p) const noexcept { return blocks_.index_of(p); }
  std::size_t capacity() const noexcept { return blocks_.capacity(); }
  /// Every object, in use or free; nobody else uses the pool meanwhile.
  template <class F>
  void for_each(F f) {
    blocks_.for_each([&f](void* p) { f(*static_cast<T*>(p)); });
  }

 private:
  block_pool blocks_;
};

}  // namespace kfx::base
