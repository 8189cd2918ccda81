// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A submission queue: pushed by many threads, emptied by one, without locks or memory of its own.

#include <atomic>

namespace kfx::base {

/// `Next` is the member that links a T while it is in here; it is free for other uses otherwise. One T is in at most
/// one such stack at a time.
template <class T, std::atomic<T*> T::*Next>
class mpsc_stack {
 public:
  /// Any thread. True: it was empty, so whoever empties it may need to be woken. What was written to `*item` before
  /// is visible to the taker.
  bool push(T* item) noexcept {
    T* head = head_.load(std::memory_order_relaxed);
    do {
      (item->*Next).store(head, std::memory_order_relaxed);
    } while (!head_.compare_exchange_weak(head, item, std::memory_order_seq_cst, std::memory_order_relaxed));
    return head == nullptr;
  }

  /// One thread at a time. Everything pushed so far, oldest first, linked through `Next` and ended by null. There is
  /// no ABA problem because nobody takes single items.
  T* take_all() noexcept {
    if (empty()) return nullptr;
    T* item = head_.exchange(nullptr, std::memory_order_acquire);
    T* oldest_first = nullptr;
    while (item) {
      T* older = (item->*Next).load(std::memory_order_relaxed);
      (item->*Next).store(oldest_first, std::memory_order_relaxed);
      oldest_first = item;
      item = older;
    }
    return oldest_first;
  }

  /// Any thread; true only says that nothing was there a moment ago. Sequentially consistent so that "announce that
  /// I sleep, then look once more" works against "push, then look whether it sleeps" (with a fence on that side).
  bool empty() const noexcept { return head_.load(std::memory_order_seq_cst) == nullptr; }

  static T* next(const T* item) noexcept { return (item->*Next).load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<T*> head_{nullptr};
};

}  // namespace kfx::base
