// SPDX-License-Identifier: BSD-2-Clause
// Everything at once, both ways, over streams that move any number of bytes a call and over real sockets.

#include <malloc.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "backends/tcp/tcp_stream.hpp"
#include "scripted_stream.hpp"
#include "side.hpp"

using namespace kfx_test;
using kfx::backend::byte_stream;
using kfx::backend::tcp_stream;

namespace {

using ends = std::pair<std::unique_ptr<byte_stream>, std::unique_ptr<byte_stream>>;

ends scripted_pair(rng& r) {
  auto there = std::make_shared<direction>();
  auto back = std::make_shared<direction>();
  auto a = std::make_unique<scripted_stream>(there, back);
  auto b = std::make_unique<scripted_stream>(back, there);
  for (scripted_stream* s : {a.get(), b.get()}) {
    s->on_send = [&r](std::size_t) { return log_uniform(r, 20); };
    s->on_recv = [&r](std::size_t) { return log_uniform(r, 20); };
  }
  return {std::move(a), std::move(b)};
}

ends socket_pair() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {std::make_unique<tcp_stream>(fds[0], "one end", "the other"),
          std::make_unique<tcp_stream>(fds[1], "the other", "one end")};
}

void traffic(ends streams, rng& r, int steps) {
  side a(std::move(streams.first), r);
  side b(std::move(streams.second), r);
  a.peer = &b;
  b.peer = &a;
  for (int i = 0; i < steps; ++i) (below(r, 2) ? a : b).step();
  drain(a, b);
  // The test must have been one.
  CHECK(a.bulk_count > 0);
  CHECK(b.sent_count > 0);
  CHECK(a.quiesced + b.quiesced > 0);
  CHECK(a.diverted + b.diverted > 0);
}

}  // namespace

TEST_CASE("random frames both ways over a stream of random pieces, with quiesce and divert") {
  rng r(seed("wire traffic, scripted"));
  for (int round = 0; round < 4; ++round) traffic(scripted_pair(r), r, 3000);
}

TEST_CASE("random frames both ways over a socket pair, with quiesce and divert") {
  rng r(seed("wire traffic, socket pair"));
  for (int round = 0; round < 4; ++round) traffic(socket_pair(), r, 3000);
}

TEST_CASE("each size around each limit, in one and in 256 fragments") {
  rng r(seed("wire sizes"));
  ends streams = socket_pair();
  side a(std::move(streams.first), r);
  side b(std::move(streams.second), r);
  a.peer = &b;
  b.peer = &a;
  std::uint64_t id = 1;
  for (std::size_t near : {std::size_t{64}, std::size_t{512}, std::size_t{4096}, kfx::backend::whole_limit,
                           kfx::wire::chunk_size, std::size_t{1} << 20}) {
    for (std::size_t size = near > 80 ? near - 80 : 0; size <= std::min<std::size_t>(near + 10, 1 << 20); size += 9) {
      for (std::size_t fragments : {1u, 3u, 256u}) {
        const recipe c{id++, static_cast<unsigned>(4 + id % 6), size};
        while (!a.send(c, fragments)) {
          a.move(8);
          b.move(8);
        }
      }
    }
  }
  drain(a, b);
  CHECK(a.sent_count == id - 1);
}

TEST_CASE("a divert withdraws the landing in mid-body") {
  rng r(seed("wire divert"));
  auto there = std::make_shared<direction>();
  auto back = std::make_shared<direction>();
  auto receiving = std::make_unique<scripted_stream>(back, there);
  std::size_t allowed = 0;
  receiving->on_recv = [&allowed](std::size_t there) {
    const std::size_t n = std::min(allowed, there);
    allowed -= n;
    return n;
  };
  side a(std::make_unique<scripted_stream>(there, back), r);
  side b(std::move(receiving), r);
  a.peer = &b;
  b.peer = &a;
  b.short_landings = false;
  for (std::size_t cut : {32u, 33u, 1000u, 16384u, 50000u, 99999u, 100031u}) {
    REQUIRE(a.send({cut, 4, 100000}, 5));
    REQUIRE(a.send({cut + 1, 4, 100}, 1));
    a.move(1);
    allowed = 32;
    b.move(1);
    allowed = cut - 32;
    b.move(1);
    const std::size_t before = b.diverted;
    b.divert();
    CHECK(b.diverted == before + 1);
    allowed = 1 << 30;
    while (!b.idle()) b.move(64);
    allowed = 0;
    REQUIRE(a.idle());
  }
}

// Sanitizers replace the allocator that is asked.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("idle links hold little memory after they were busy") {
  rng r(seed("wire idle memory"));
  constexpr std::size_t count = 200;
  std::vector<std::unique_ptr<side>> sides;
  const auto used = [] {
    const auto m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
  };
  const std::size_t before = used();
  for (std::size_t i = 0; i < count; ++i) {
    ends streams = socket_pair();
    sides.push_back(std::make_unique<side>(std::move(streams.first), r));
    sides.push_back(std::make_unique<side>(std::move(streams.second), r));
    side& a = *sides[2 * i];
    side& b = *sides[2 * i + 1];
    a.peer = &b;
    b.peer = &a;
    for (int n = 0; n < 30; ++n) {
      a.commit_some();
      a.post_one();
    }
    drain(a, b);
    REQUIRE(a.link.arm().fd >= 0);
    REQUIRE(b.link.arm().fd >= 0);
  }
  const std::size_t pool = (4 + 64) * kfx::wire::chunk_size;  // kept, whatever the number of links
  const std::size_t after = used();
  CHECK(after < before + pool + 2 * count * 8 * 1024);
}
#endif
