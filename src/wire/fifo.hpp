// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A queue whose elements lie in one contiguous run, so that it can be handed to a system call as it is.

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <span>
#include <type_traits>

namespace kfx::wire {

/// First in, first out. No allocation in steady state; never throws: room is made first (which may fail), pushing
/// then cannot. Elements move when room is made, so hold no pointers to them.
template <class T>
class fifo {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  fifo() = default;
  fifo(const fifo&) = delete;
  fifo& operator=(const fifo&) = delete;
  ~fifo() { std::free(data_); }

  bool empty() const noexcept { return head_ == tail_; }
  std::size_t size() const noexcept { return tail_ - head_; }
  T& front() noexcept { return data_[head_]; }
  T& back() noexcept { return data_[tail_ - 1]; }
  T& operator[](std::size_t i) noexcept { return data_[head_ + i]; }
  std::span<T> first(std::size_t n) noexcept { return {data_ + head_, n < size() ? n : size()}; }

  /// False: no memory; the queue is unchanged.
  bool make_room(std::size_t n) noexcept { return n <= capacity_ - tail_ || make_room_slowly(n); }
  /// Needs room made before.
  void push(const T& v) noexcept { data_[tail_++] = v; }
  void pop() noexcept {
    if (++head_ == tail_) head_ = tail_ = 0;
  }
  void clear() noexcept { head_ = tail_ = 0; }
  /// Gives memory back when the queue is empty and holds more than `keep` elements' worth.
  void trim(std::size_t keep) noexcept {
    if (!empty() || capacity_ <= keep) return;
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }

 private:
  bool make_room_slowly(std::size_t n) noexcept {
    // Closing the gap costs at most one move for each element popped since the last time.
    if (head_ >= capacity_ / 2 && size() + n <= capacity_) {
      if (!empty()) std::memmove(static_cast<void*>(data_), data_ + head_, size() * sizeof(T));
    } else {
      std::size_t grown = capacity_ ? 2 * capacity_ : 16;
      while (grown < size() + n) grown *= 2;
      auto* fresh = static_cast<T*>(std::malloc(grown * sizeof(T)));
      if (!fresh) return false;
      if (!empty()) std::memcpy(static_cast<void*>(fresh), data_ + head_, size() * sizeof(T));
      std::free(data_);
      data_ = fresh;
      capacity_ = grown;
    }
    tail_ -= head_;
    head_ = 0;
    return true;
  }

  T* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace kfx::wire
