// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "frames.hpp"
#include "wire/fifo.hpp"

using namespace kfx::wire;
using kfx_test::bytes;
using kfx_test::recipe;

TEST_CASE("the layout of a head is the documented one") {
  head h;
  h.length = 0x04030201;
  h.type = type::send;
  h.words = 5;
  h.lane = 0x0807;
  h.ack = 0x0c0b0a09;
  h.op = pack_op(0xffabcdef, flag::last | flag::wants_reply);
  h.a = 0x1817161514131211;
  h.b = 0x2827262524232221;
  std::byte b[32];
  store(b, h);
  const unsigned char want[32] = {0x01, 0x02, 0x03, 0x04, 19,   5,    0x07, 0x08, 0x09, 0x0a, 0x0b,
                                  0x0c, 0xef, 0xcd, 0xab, 0x81, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
                                  0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28};
  CHECK(std::memcmp(b, want, 32) == 0);
  CHECK(h.index() == 0xabcdef);
  CHECK(h.flags() == 0x81);
  CHECK(h.numbered());
}

TEST_CASE("peek waits for a head and refuses impossible lengths") {
  const bytes good = recipe{7, 9, 100}.whole();
  for (std::size_t n = 0; n < 32; ++n) CHECK(peek(std::span(good).first(n)).state == peeked::more);
  CHECK(peek(good).state == peeked::ok);

  auto with = [](std::uint32_t length, unsigned words) {
    bytes b = recipe{7, 4, 0}.whole();
    store(b.data(), length);
    b[5] = static_cast<std::byte>(words);
    return peek(b).state;
  };
  CHECK(with(32, 4) == peeked::ok);
  CHECK(with(72, 9) == peeked::ok);
  CHECK(with(32 + (1u << 20), 4) == peeked::ok);
  CHECK(with(72 + (1u << 20), 9) == peeked::ok);
  CHECK(with(33 + (1u << 20), 4) == peeked::bad);
  CHECK(with(31, 4) == peeked::bad);
  CHECK(with(71, 9) == peeked::bad);
  CHECK(with(0, 4) == peeked::bad);
  CHECK(with(64, 3) == peeked::bad);
  CHECK(with(64, 0) == peeked::bad);
  CHECK(with(200, 10) == peeked::bad);
  CHECK(with(0xffffffff, 255) == peeked::bad);
}

TEST_CASE("frames print themselves, and no more of a key than tells it from others") {
  head h;
  h.length = 32 + 65536;
  h.type = type::write;
  h.lane = 3;
  h.op = pack_op(17, flag::last | flag::durable);
  h.a = 0x1fdeadbeefdeadbe;
  h.b = 4096;
  CHECK(to_string(h) == "write (16) lane 3 op 17 ack 0 key 1f… offset 4096, 65536 bytes, last, durable");
  h.type = type::ack;
  h.length = 5;
  h.op = 0;
  CHECK(to_string(h) == "ack (6) lane 3 op 0 ack 0 a 2296463895585271230 b 4096, malformed length 5");
  for (unsigned t = 0; t < 256; ++t) CHECK(std::strlen(name(static_cast<type>(t))) > 0);
  CHECK(std::string(name(type::offer_done)) == "offer_done");
  CHECK(std::string(name(static_cast<type>(200))) == "unknown");
}

TEST_CASE("a fifo keeps order and stays contiguous while it grows, closes gaps and is trimmed") {
  fifo<int> q;
  int in = 0;
  int out = 0;
  for (int round = 0; round < 2000; ++round) {
    const int n = (round * 7) % 23;
    REQUIRE(q.make_room(static_cast<std::size_t>(n)));
    for (int i = 0; i < n; ++i) q.push(in++);
    const auto run = q.first(5);
    for (std::size_t i = 0; i < run.size(); ++i) REQUIRE(run[i] == out + static_cast<int>(i));
    for (int i = (round * 5) % 23; i > 0 && !q.empty(); --i) {
      REQUIRE(q.front() == out++);
      q.pop();
    }
    if (!q.empty()) REQUIRE(q.back() == in - 1);
    REQUIRE(q.size() == static_cast<std::size_t>(in - out));
    q.trim(16);
  }
}
