// SPDX-License-Identifier: BSD-2-Clause
// An op that was cancelled in the moment in which it completed stood in the submission queue when its handle let go of
// it; its memory was used again, and the queue led into another op.

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

TEST_CASE("an op may be cancelled and dropped while it completes") {
  std::vector<std::byte> memory(1 << 16);
  node server({.listen = {"tcp://127.0.0.1:0"}});
  const region shared = server.share(mutable_buffer(memory), access::read_write);
  server.publish("memory", shared);
  node client;
  const peer p = client.at(server.addresses().front());
  const remote_region remote = p.open("memory").complete(20s).value();
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
  CHECK(p.write(std::as_bytes(std::span(memory).first(0)), remote.at(0, 0)).complete(20s).has_value());
}
