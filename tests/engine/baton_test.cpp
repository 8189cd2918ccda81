// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The baton, given away and taken back: one at a time has it, and what is submitted to its holder is not left behind.

#include "engine/baton.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "base/mpsc_stack.hpp"

namespace {

using kfx::engine::baton;

unsigned rounds(unsigned usual) {
  const char* const asked = std::getenv("KFX_TEST_ROUNDS");
  return asked ? static_cast<unsigned>(std::atoi(asked)) : usual;
}

/// Takes it in a row until it is this thread's own, and so long that taking it away is not held against the next gift.
void be_given(baton& b) {
  const auto begun = std::chrono::steady_clock::now();
  while (!b.mine() || std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(2)) {
    b.lock();
    b.unlock();
  }
}

struct item {
  std::atomic<item*> next{nullptr};
  bool done = false;  // with the baton
};

/// As partitions have it.
struct queue {
  baton turn;
  kfx::base::mpsc_stack<item, &item::next> submitted;

  void drain() {
    while (item* i = submitted.take_all())
      for (; i; i = submitted.next(i)) i->done = true;
  }
  void let_go() {
    do {
      drain();
      turn.unlock();
    } while (!submitted.empty() && turn.try_lock());
  }
};

}  // namespace

TEST_CASE("a thread that has the baton many times in a row is given it") {
  baton b;
  CHECK_FALSE(b.mine());
  be_given(b);
  REQUIRE(b.try_lock());
  CHECK_FALSE(b.try_lock());
  b.unlock();
  std::thread([&] {
    CHECK_FALSE(b.mine());
    CHECK(b.try_lock());
    CHECK_FALSE(b.wanted());
    b.unlock();
  }).join();
  CHECK_FALSE(b.mine());
  CHECK(b.try_lock());
  b.unlock();
}

TEST_CASE("one thread at a time has the baton, whoever it was given to") {
  const unsigned seed = std::random_device()();
  CAPTURE(seed);
  baton b;
  std::uint64_t plain = 0;  // guarded by it
  std::atomic<std::uint64_t> turns{0};
  std::atomic<int> inside{0};
  std::atomic<bool> broken{false};
  const auto work = [&](unsigned number) {
    std::mt19937 random(seed + number);
    for (unsigned round = 0; round < rounds(200); ++round) {
      const unsigned in_a_row = 1u << random() % 12;
      for (unsigned i = 0; i < in_a_row; ++i) {
        if (random() % 4 == 0)
          b.lock();
        else if (!b.try_lock())
          continue;
        if (inside.fetch_add(1) != 0) broken = true;
        ++plain;
        inside.fetch_sub(1);
        b.unlock();
        turns.fetch_add(1, std::memory_order_relaxed);
      }
      if (random() % 4 == 0) sched_yield();
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) threads.emplace_back(work, i);
  for (auto& t : threads) t.join();
  CHECK_FALSE(broken);
  CHECK(plain == turns);
}

TEST_CASE("nothing is left in the queue by an owner that looks once and a submitter that tries once") {
  queue q;
  std::atomic<unsigned> owner_round{0}, ready{0}, finished{0};
  const unsigned count = rounds(300);
  std::vector<item> items(count);
  std::thread owner([&] {
    for (unsigned r = 1; r <= count; ++r) {
      be_given(q.turn);
      ready = r;
      while (owner_round < r) kfx::engine::cpu_relax();
      if (q.turn.try_lock()) q.let_go();
      ++finished;
    }
  });
  for (unsigned r = 1; r <= count; ++r) {
    while (ready < r) sched_yield();
    owner_round = r;  // both at once
    q.submitted.push(&items[r - 1]);
    if (q.turn.try_lock()) q.let_go();
    while (finished < r) sched_yield();
    if (!q.submitted.empty()) FAIL("left behind in round " << r);
  }
  owner.join();
  q.turn.lock();
  for (const item& i : items) CHECK(i.done);
  q.turn.unlock();
}
