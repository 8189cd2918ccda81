// SPDX-License-Identifier: BSD-2-Clause
// A thread that polled without end kept the control thread from ever getting the baton, when both had one CPU: no
// connection was accepted.

#include <sched.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "engine/baton.hpp"

TEST_CASE("who can do without the baton stands back for who waits for it") {
  kfx::engine::baton b;
  std::atomic<bool> had{false};
  REQUIRE(b.try_lock());
  std::thread waiter([&] {
    b.lock();
    had = true;
    b.unlock();
  });
  while (!b.wanted()) sched_yield();
  b.unlock();
  while (!b.try_lock()) sched_yield();
  CHECK(had);
  b.unlock();
  waiter.join();
}
