// SPDX-License-Identifier: BSD-2-Clause
// What is wrong when it is asked for: ops whose deadline had passed were carried out all the same, now and then even
// with success; a node took a required backend that there is none of; an offer that its owner withdrew said that it was
// cancelled.

#include <array>
#include <catch2/catch.hpp>

#include "memory_server.hpp"

using namespace std::chrono_literals;
using namespace kfx;

TEST_CASE("an op whose deadline has passed ends with timed_out, without effect") {
  memory_server m(64);
  const peer& p = m.peer;
  const remote_region remote = m.open();
  std::array<std::byte, 64> local;
  local.fill(std::byte{1});
  for (int i = 0; i < 50; ++i) {
    auto w = p.write(const_buffer(local), remote, {.deadline = clock::now() - 1s});
    auto r = p.read(mutable_buffer(local), remote, {.deadline = clock::now() - 1s});
    CHECK(w.complete(20s).error() == errc::timed_out);
    CHECK(r.complete(20s).error() == errc::timed_out);
  }
  p.write(const_buffer(local).first(8), remote.at(56, 8)).complete(20s).value();
  CHECK(m.memory[0] == std::byte{0});
}

TEST_CASE("a backend that is required and missing is refused at once") {
  CHECK_THROWS_WITH(node({.require = "carrier-pigeon"}), Catch::Contains("carrier-pigeon"));
}

TEST_CASE("an offer that is withdrawn says so") {
  node server({.listen = {"tcp://127.0.0.1:0"}});
  node client;
  const peer p = client.at(server.addresses().front());
  std::array<std::byte, 64> memory{};
  auto withdrawn = p.offer(mutable_buffer(memory), access::read);
  withdrawn.revoke();
  CHECK(withdrawn.complete(20s).error() == errc::revoked);
}
