// SPDX-License-Identifier: BSD-2-Clause
// The vectors were written by hand from the layout of the header.
#include <catch2/catch.hpp>
#include <cstring>

#include "base/seed.hpp"
#include "types.hpp"
#include "wire.hpp"

using lnet::header;
using lnet::msg_type;
using bytes = std::array<std::byte, header::size>;

namespace {

/// From "01 0a …"; spaces and line ends do not count.
bytes from_hex(std::string_view text) {
  const std::string_view digits = "0123456789abcdef";
  bytes b{};
  std::size_t half = 0;
  for (const char c : text) {
    const auto digit = digits.find(c);
    if (digit == digits.npos) continue;
    REQUIRE(half < 2 * b.size());
    b[half / 2] |= static_cast<std::byte>(half % 2 == 0 ? digit << 4 : digit);
    ++half;
  }
  REQUIRE(half == 2 * b.size());
  return b;
}

header between_two() {
  header h;
  h.dest_nid = {0x0a000002, {lnet::kind_kfx, 1}};
  h.src_nid = {0xc0a80114, {lnet::kind_tcp, 0}};
  h.dest_pid = 12345;
  h.src_pid = 0x80000001;
  return h;
}

// 10.0.0.2@kfx1, 192.168.1.20@tcp, pids 12345 and 0x80000001.
#define KFX_TEST_ENDS "02 00 00 0a 01 00 40 00  14 01 a8 c0 00 00 02 00  39 30 00 00  01 00 00 80 "

void check_vector(const header& h, const bytes& golden) {
  CHECK(h.encode() == golden);
  const auto back = header::decode(golden);
  REQUIRE(back.has_value());
  CHECK(*back == h);
}

header random_header(kfx_test::rng& r) {
  const auto word = [&] { return static_cast<std::uint32_t>(kfx_test::log_uniform(r, 32)); };
  header h;
  h.dest_nid = lnet::nid::unpack(r());
  h.src_nid = lnet::nid::unpack(r());
  h.dest_pid = word();
  h.src_pid = word();
  h.payload_length = word();
  h.type = static_cast<msg_type>(kfx_test::below(r, 5));
  const bool put = h.type == msg_type::put, get = h.type == msg_type::get, ack = h.type == msg_type::ack;
  if (h.type == msg_type::hello) {
    h.incarnation = r();
    h.hello_type = word();
    return h;
  }
  if (kfx_test::below(r, 4) != 0) h.wmd = {r(), kfx_test::log_uniform(r, 64)};
  if (put || get || ack) h.match_bits = r();
  if (put) h.hdr_data = r();
  if (put || get) h.portal = word(), h.offset = word();
  if (get || ack) h.length = word();
  return h;
}

}  // namespace

TEST_CASE("an ACK has its golden bytes", "[wire]") {
  header h = between_two();
  h.type = msg_type::ack;
  h.wmd = {0x0102030405060708, 0x1112131415161718};
  h.match_bits = 0x2122232425262728;
  h.length = 0x31323334;
  check_vector(h, from_hex(KFX_TEST_ENDS "00 00 00 00  00 00 00 00 "
                                         "08 07 06 05 04 03 02 01  18 17 16 15 14 13 12 11  28 27 26 25 24 23 22 21 "
                                         "34 33 32 31  00 00 00 00  00 00 00 00  00 00 00 00"));
}

TEST_CASE("a PUT has its golden bytes", "[wire]") {
  header h = between_two();
  h.type = msg_type::put;
  h.payload_length = 1u << 20;
  h.wmd = {0x0102030405060708, 0x1112131415161718};
  h.match_bits = 0x2122232425262728;
  h.hdr_data = 0x3132333435363738;
  h.portal = 63;
  h.offset = 0x000ff008;
  check_vector(h, from_hex(KFX_TEST_ENDS "01 00 00 00  00 00 10 00 "
                                         "08 07 06 05 04 03 02 01  18 17 16 15 14 13 12 11  28 27 26 25 24 23 22 21 "
                                         "38 37 36 35 34 33 32 31  3f 00 00 00  08 f0 0f 00"));
}

TEST_CASE("a PUT that wants no ACK says so with all bits", "[wire]") {
  header h = between_two();
  h.type = msg_type::put;
  h.portal = 50;
  CHECK(h.wmd.none());
  check_vector(h, from_hex(KFX_TEST_ENDS "01 00 00 00  00 00 00 00 "
                                         "ff ff ff ff ff ff ff ff  ff ff ff ff ff ff ff ff  00 00 00 00 00 00 00 00 "
                                         "00 00 00 00 00 00 00 00  32 00 00 00  00 00 00 00"));
}

TEST_CASE("a GET has its golden bytes", "[wire]") {
  header h = between_two();
  h.type = msg_type::get;
  h.wmd = {0x0102030405060708, 0x1112131415161718};
  h.match_bits = 0x2122232425262728;
  h.portal = 52;
  h.offset = 0x41424344;
  h.length = 0x00001000;
  check_vector(h, from_hex(KFX_TEST_ENDS "02 00 00 00  00 00 00 00 "
                                         "08 07 06 05 04 03 02 01  18 17 16 15 14 13 12 11  28 27 26 25 24 23 22 21 "
                                         "34 00 00 00  44 43 42 41  00 10 00 00  00 00 00 00"));
}

TEST_CASE("a REPLY has its golden bytes", "[wire]") {
  header h = between_two();
  h.type = msg_type::reply;
  h.payload_length = 0x00000203;
  h.wmd = {0x0102030405060708, 0x1112131415161718};
  check_vector(h, from_hex(KFX_TEST_ENDS "03 00 00 00  03 02 00 00 "
                                         "08 07 06 05 04 03 02 01  18 17 16 15 14 13 12 11  00 00 00 00 00 00 00 00 "
                                         "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00"));
}

TEST_CASE("a HELLO has its golden bytes", "[wire]") {
  header h = between_two();
  h.type = msg_type::hello;
  h.incarnation = 0x0102030405060708;
  h.hello_type = 0x00000002;
  check_vector(h, from_hex(KFX_TEST_ENDS "04 00 00 00  00 00 00 00 "
                                         "08 07 06 05 04 03 02 01  02 00 00 00  00 00 00 00  00 00 00 00 00 00 00 00 "
                                         "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00"));
}

TEST_CASE("only types that LNet knows are read", "[wire]") {
  bytes b = between_two().encode();
  for (unsigned type = 0; type < 256; ++type) {
    b[24] = static_cast<std::byte>(type);
    CHECK(header::decode(b).has_value() == (type < 5));
  }
  // Each byte of the type counts.
  for (const std::size_t i : {25, 26, 27}) {
    b = between_two().encode();
    b[i] = std::byte{1};
    CHECK_FALSE(header::decode(b).has_value());
  }
}

TEST_CASE("headers survive the wire", "[wire][random]") {
  kfx_test::rng r(kfx_test::seed("header round trip"));
  for (int i = 0; i < 20000; ++i) {
    const header h = random_header(r);
    INFO(h.describe());
    const auto back = header::decode(h.encode());
    REQUIRE(back.has_value());
    REQUIRE(*back == h);
  }
}

TEST_CASE("what a type has no place for does not travel", "[wire]") {
  header h = between_two();
  h.type = msg_type::reply;
  h.match_bits = h.hdr_data = h.incarnation = 1;
  h.portal = h.offset = h.length = h.hello_type = 1;
  const auto back = header::decode(h.encode());
  REQUIRE(back.has_value());
  header plain = between_two();
  plain.type = msg_type::reply;
  CHECK(*back == plain);
  CHECK(h.encode() == plain.encode());
}

TEST_CASE("random bytes are read or refused, and can be logged", "[wire][random]") {
  kfx_test::rng r(kfx_test::seed("header bytes"));
  for (int i = 0; i < 20000; ++i) {
    bytes b;
    for (std::byte& each : b) each = static_cast<std::byte>(r());
    // A type that is known, in most of them.
    if (i % 4 != 0)
      for (std::size_t k = 24; k < 28; ++k) b[k] = k == 24 ? static_cast<std::byte>(r() % 6) : std::byte{0};
    const auto h = header::decode(b);
    std::uint32_t type = 0;
    for (std::size_t k = 28; k-- > 24;) type = type << 8 | std::to_integer<std::uint32_t>(b[k]);
    REQUIRE(h.has_value() == (type < 5));
    if (!h) continue;
    const std::string line = h->describe();
    REQUIRE(line.starts_with(to_string(h->type)));
    REQUIRE(line.find('\n') == line.npos);
    // Read again from what it writes, it is the same.
    const auto again = header::decode(h->encode());
    REQUIRE(again.has_value());
    REQUIRE(*again == *h);
  }
}

TEST_CASE("headers are described in one line", "[wire]") {
  header h = between_two();
  h.type = msg_type::put;
  h.portal = 7;
  h.match_bits = 0xbeef;
  h.payload_length = 4096;
  CHECK(h.describe() ==
        "PUT 2147483649-192.168.1.20@tcp -> 12345-10.0.0.2@kfx1, payload 4096, no handle, match bits 0xbeef, portal 7, "
        "offset 0, data 0x0");
  h = between_two();
  h.type = msg_type::hello;
  h.incarnation = 0x10;
  CHECK(h.describe() ==
        "HELLO 2147483649-192.168.1.20@tcp -> 12345-10.0.0.2@kfx1, payload 0, incarnation 0x10, type 0");
  CHECK(std::string(to_string(static_cast<msg_type>(9))) == "UNKNOWN");
}

TEST_CASE("fragments are cut to length", "[types]") {
  std::array<std::byte, 16> memory{};
  const lnet::fragment_list list = {lnet::fragment(memory).subspan(0, 5), lnet::fragment(memory).subspan(5, 0),
                                    lnet::fragment(memory).subspan(5, 3), lnet::fragment(memory).subspan(8, 8)};
  CHECK(lnet::length_of(list) == 16);
  CHECK(lnet::length_of({}) == 0);
  for (std::size_t offset = 0; offset < 20; ++offset)
    for (std::size_t length = 0; length < 20; ++length) {
      const auto pieces = lnet::slice(list, offset, length);
      const std::size_t expected = offset > 16 ? 0 : std::min(length, 16 - offset);
      REQUIRE(lnet::length_of(pieces) == expected);
      // Of the same memory, one after the other, none empty.
      const std::byte* at = memory.data() + offset;
      for (const lnet::fragment& p : pieces) {
        REQUIRE_FALSE(p.empty());
        REQUIRE(p.data() == at);
        at += p.size();
      }
    }
  CHECK(lnet::slice(list, 0, ~std::size_t{0}).size() == 3);
  CHECK(lnet::slice(list, ~std::size_t{0}, ~std::size_t{0}).empty());
}
