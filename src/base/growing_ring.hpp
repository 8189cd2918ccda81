// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A queue in a ring that doubles when it is full.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace kfx::base {

/// Places count on for ever; a place stays that of its item until the item is popped. One thread at a time.
template <class T, std::size_t First>
class growing_ring {
  static_assert((First & (First - 1)) == 0, "places are found by their low bits");

 public:
  bool empty() const noexcept { return first_ == next_; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(next_ - first_); }
  std::uint64_t first() const noexcept { return first_; }
  std::uint64_t next() const noexcept { return next_; }
  T& operator[](std::uint64_t place) noexcept { return items_[place & mask_]; }
  const T& operator[](std::uint64_t place) const noexcept { return items_[place & mask_]; }
  T& front() noexcept { return (*this)[first_]; }
  const T& front() const noexcept { return (*this)[first_]; }

  /// Its place. Throws std::bad_alloc.
  [[gnu::always_inline]] std::uint64_t push(const T& item) {
    if (size() == capacity_) [[unlikely]]
      grow();
    items_[next_ & mask_] = item;
    return next_++;
  }
  void pop() noexcept { ++first_; }
  void clear() noexcept { first_ = next_; }
  /// Gives back what a burst took, once nothing is in it.
  void trim(std::size_t keep) noexcept {
    if (!empty() || capacity_ <= keep) return;
    items_.reset();
    capacity_ = mask_ = 0;
  }

 private:
  [[gnu::noinline]] void grow() {
    const std::size_t capacity = capacity_ == 0 ? First : capacity_ * 2;
    auto bigger = std::make_unique<T[]>(capacity);
    for (std::uint64_t i = first_; i != next_; ++i) bigger[i & (capacity - 1)] = (*this)[i];
    items_ = std::move(bigger);
    capacity_ = capacity;
    mask_ = capacity - 1;
  }

  std::unique_ptr<T[]> items_;
  std::size_t mask_ = 0;
  std::size_t capacity_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t next_ = 0;
};

}  // namespace kfx::base
