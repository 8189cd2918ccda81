// SPDX-License-Identifier: BSD-2-Clause
// An op that was cancelled in the moment in which it completed stood in the submission queue when its handle let go of
// it; its memory was used again, and the queue led into another op.

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "memory_server.hpp"

using namespace std::chrono_literals;
using namespace kfx;

TEST_CASE("an op may be cancelled and dropped while it completes") {
  memory_server m(1 << 16);
  const peer& p = m.peer;
  const remote_region remote = m.open();
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      const std::uint64_t value = t;
      for (unsigned i = 0; i < 20000; ++i) {
        auto o = p.write(std::as_bytes(std::span(&value, 1)), remote.at(8 * t, 8), {.lane = static_cast<lane>(t)});
        for (unsigned spin = i % 256; spin > 0 && !o.ready(); --spin)
          std::atomic_signal_fence(std::memory_order_seq_cst);
        o.cancel();
        if (i % 3 == 0) {
          if (!o.complete(20s) && o.result().error() != errc::cancelled) ++wrong;
        }
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(p.write(std::as_bytes(std::span(m.memory).first(0)), remote.at(0, 0)).complete(20s).has_value());
}
