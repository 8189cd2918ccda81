// SPDX-License-Identifier: BSD-2-Clause
// A transfer that waits for the other side, which does nothing: the node that is to send the rest, or to receive it,
// kept its processor all the while, and kept it from the other side.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

std::chrono::duration<double> cpu_used() {
  return std::chrono::duration<double>(static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
}

/// Processor time of this process, as a part of the time that passed.
double load_for(std::chrono::milliseconds time) {
  const auto begun = cpu_used();
  std::this_thread::sleep_for(time);
  return (cpu_used() - begun) / time;
}

struct place {
  std::string listen, query;
};

}  // namespace

TEST_CASE("a node that waits for the other side of a transfer sleeps") {
  const std::string own = std::to_string(::getpid());
  const auto at = GENERATE_COPY(values<place>(
      {{"shm://full-link-" + own, "bulk=ring"}, {"tcp://127.0.0.1:0", ""}, {"loop://full-link", "direct=off"}}));
  const bool sender_drives = GENERATE(false, true);
  INFO(at.listen << (sender_drives ? ", the receiver waits" : ", the sender waits"));
  std::vector<std::byte> memory(64 << 20), source(memory.size(), std::byte{7});
  node server({.listen = {at.listen}, .progress = sender_drives ? progress::threads : progress::caller});
  node client({.progress = sender_drives ? progress::caller : progress::threads});
  const region shared = server.share(mutable_buffer(memory), access::read_write);
  const std::string address = server.addresses().front();
  const peer p = client.at(at.query.empty() ? address : address + "?" + at.query);
  const auto drive = [&](auto& o) {
    const auto end = clock::now() + 20s;
    while (!o.ready() && clock::now() < end) {
      server.poll();
      client.poll();
    }
    REQUIRE(o.ready());
  };
  server.publish("memory", shared);
  auto opened = p.open("memory");
  drive(opened);
  const remote_region remote = opened.complete().value();

  auto o = p.write(source, remote);
  if (sender_drives)
    for (int i = 0; i < 2; ++i) client.poll();
  CHECK(load_for(300ms) < 0.3);
  CHECK_FALSE(o.ready());
  drive(o);
  CHECK(memory == source);
}
