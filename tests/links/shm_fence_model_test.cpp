// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Taking memory back from a peer that accesses it, in every order of events: once the owner found the peer outside,
/// no access is under way, and none begins. What the checker is worth is shown by what it finds in weaker protocols.

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

#include "backends/shm/shm_fence.hpp"
#include "interleave.hpp"

namespace {

using namespace kfx;

/// What may be done wrong.
struct mistakes {
  bool no_fence_of_initiator = false;
  bool no_fence_of_owner = false;
  bool relaxed_leave = false;  ///< what was accessed is not handed back
  bool look_first = false;     ///< the initiator looks at the key before it says that it is busy
};

template <mistakes M>
struct words {
  template <class T>
  struct atomic : model::atomic<T> {
    using model::atomic<T>::atomic;
    void store(T v, std::memory_order o) {
      model::atomic<T>::store(v, M.relaxed_leave && v == 0 ? std::memory_order_relaxed : o);
    }
  };
  /// All fences are in one order, and each sees what came before the earlier ones: an exchange of one word.
  static inline model::atomic<std::uint64_t>* order = nullptr;
  static void one_order() { order->exchange(1, std::memory_order_acq_rel); }
  static void fence() {
    if (!M.no_fence_of_initiator) one_order();
  }
};

constexpr std::uint32_t key = 7;

template <mistakes M>
struct shared {
  using sync = words<M>;
  model::atomic<std::uint64_t> order{0};
  shm::basic_busy<sync> busy;
  shm::basic_live<sync> live{key};
  std::uint64_t memory = 0;

  shared() { sync::order = &order; }

  void initiate(unsigned accesses) {
    for (unsigned i = 1; i <= accesses; ++i) {
      const std::uint64_t stamp = std::uint64_t{i} << 32 | key;
      std::uint32_t says;
      if (M.look_first) {
        says = live.load(std::memory_order_acquire);
        busy.stamp.store(stamp, std::memory_order_release);
      } else {
        says = enter(busy, live, stamp, 0);
      }
      if (says == key) model::touch(&memory, sizeof memory, true);
      leave(busy);
    }
  }

  void withdraw(unsigned looks) {
    live.store(0, std::memory_order_release);
    if (!M.no_fence_of_owner) sync::one_order();
    for (unsigned i = 0; i < looks; ++i) {
      if (shm::key_of(shm::inside(busy)) == key) continue;
      model::touch(&memory, sizeof memory, true);
      return;
    }
  }
};

template <mistakes M = mistakes{}>
model::report try_all(unsigned accesses, unsigned looks) {
  return model::explore([=]() -> model::program {
    auto s = std::make_shared<shared<M>>();
    return {[=] { s->initiate(accesses); }, [=] { s->withdraw(looks); }};
  });
}

}  // namespace

TEST_CASE("memory taken back: nobody is inside once the owner found the peer outside") {
  const auto [accesses, looks] = GENERATE(std::pair{1u, 1u}, std::pair{2u, 2u}, std::pair{3u, 2u});
  const model::report r = try_all(accesses, looks);
  INFO(accesses << " accesses, " << looks << " looks: " << r.executions << " executions; " << r.failure);
  CHECK(r.failure.empty());
  CHECK(r.complete);
  CHECK(r.executions > 1);
}

TEST_CASE("memory taken back: the checker finds what a weaker protocol breaks") {
  CHECK_FALSE(try_all<mistakes{.no_fence_of_initiator = true}>(2, 2).failure.empty());
  CHECK_FALSE(try_all<mistakes{.no_fence_of_owner = true}>(2, 2).failure.empty());
  CHECK_FALSE(try_all<mistakes{.relaxed_leave = true}>(2, 2).failure.empty());
  CHECK_FALSE(try_all<mistakes{.look_first = true}>(2, 2).failure.empty());
}
