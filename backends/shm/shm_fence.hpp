// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// How an owner takes memory back from a peer that accesses it without asking: two words, each written by one side.
///
/// The initiator says which key it is busy with, and then looks whether that key lives; the owner says that it does
/// not, and then looks who is busy:
///
///     initiator: busy = key      owner: live = 0
///                fence                  fence
///                live == key?           busy == key?
///                access
///                busy = 0 (release)     until busy != key (acquire)
///
/// The two fences are in one order. Is the initiator's first, the owner sees `busy` (or a later value, stored with
/// release after the access) and waits; is the owner's first, the initiator sees that the key is dead and keeps off.
/// So when the owner reads anything but the key, no access is under way, none will begin, and all are visible to it.

#include <atomic>
#include <cstdint>

namespace kfx::shm {

/// `live` of a key that was not withdrawn, but cannot be used over this link any more.
inline constexpr std::uint32_t live_elsewhere = ~std::uint32_t{0};

/// What processors have; tests put a model there.
struct native_words {
  template <class T>
  using atomic = std::atomic<T>;
  static void fence() noexcept {
#if defined(__x86_64__)
    // A locked instruction orders as much as mfence, at half the price. (ThreadSanitizer knows neither.)
    unsigned char there = 0;
    __asm__ __volatile__("lock; orb $0, %0" : "+m"(there)::"memory");
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }
};

/// The initiator's words, in a page that it alone writes.
template <class Sync>
struct basic_busy {
  typename Sync::template atomic<std::uint64_t> stamp{0};  ///< key, and above it a count of accesses; 0: not busy
  typename Sync::template atomic<std::uint64_t> at{0};     ///< offset of the access under way
};

template <class Sync>
using basic_live = typename Sync::template atomic<std::uint32_t>;

constexpr std::uint32_t key_of(std::uint64_t stamp) noexcept { return static_cast<std::uint32_t>(stamp); }

/// Initiator: what `live` says; the key itself means: go ahead, and `leave` afterwards. Else `leave` at once.
template <class Sync>
std::uint32_t enter(basic_busy<Sync>& own, const basic_live<Sync>& live, std::uint64_t stamp, std::uint64_t at) {
  own.at.store(at, std::memory_order_relaxed);
  own.stamp.store(stamp, std::memory_order_release);
  Sync::fence();
  return live.load(std::memory_order_acquire);
}

template <class Sync>
void leave(basic_busy<Sync>& own) {
  own.stamp.store(0, std::memory_order_release);
}

/// Owner: from now on nobody begins; `fence` before looking who is busy.
template <class Sync>
void shut(basic_live<Sync>& live, std::uint32_t value) {
  live.store(value, std::memory_order_release);
}

/// Owner, after the fence: who is in there, 0 for nobody.
template <class Sync>
std::uint64_t inside(const basic_busy<Sync>& peer) {
  return peer.stamp.load(std::memory_order_acquire);
}

}  // namespace kfx::shm
