// SPDX-License-Identifier: BSD-2-Clause
// The bytes of hello, welcome and refuse.

#include <catch2/catch.hpp>
#include <cstring>

#include "base/random.hpp"
#include "base/seed.hpp"
#include "cm/handshake.hpp"

using namespace kfx;
using namespace kfx::cm;

namespace {

greeting full() {
  greeting g;
  g.kind = wire::type::welcome;
  g.resume = g.lost = true;
  g.node_id = "00112233445566778899aabbccddeeff";
  g.incarnation = 0x1122334455667788;
  g.session = 7;
  g.previous = 6;
  g.taken = 0xfffffff0;
  g.credits = 512;
  g.name = "store one";
  g.host_id = "host";
  g.process_id = "process";
  g.scheme = "kfx";
  g.addresses = {"tcp://127.0.0.1:7400", "loop://x"};
  g.offers = {{"loop", "loop://x"}, {"shm", ""}};
  return g;
}

result<greeting> read(const std::vector<std::byte>& frame, std::string* why = nullptr) {
  const auto p = wire::peek(frame);
  REQUIRE(p.state == wire::peeked::ok);
  REQUIRE(p.head.length == frame.size());
  return decode(p.head, const_buffer(frame).subspan(p.head.head_bytes()), why);
}

template <class T>
void append(std::vector<std::byte>& frame, T v) {
  const auto* p = reinterpret_cast<const std::byte*>(&v);
  frame.insert(frame.end(), p, p + sizeof v);
  wire::store(frame.data(), static_cast<std::uint32_t>(frame.size()));
}

void append_field(std::vector<std::byte>& frame, std::uint16_t tag, const std::vector<std::byte>& value) {
  append(frame, tag);
  append(frame, static_cast<std::uint16_t>(value.size()));
  for (std::byte b : value) append(frame, b);
}

}  // namespace

TEST_CASE("a greeting comes back as it was") {
  const greeting g = full();
  auto back = read(encode(g));
  REQUIRE(back.has_value());
  CHECK(*back == g);

  const greeting no = make_refuse(refusal::race, make_error_code(errc::refused), "later");
  back = read(encode(no));
  REQUIRE(back.has_value());
  CHECK(*back == no);
}

TEST_CASE("the first bytes of a hello never change") {
  const auto frame = encode(full());
  CHECK(std::memcmp(frame.data() + 32, "kfx\x01\x01\x00", 6) == 0);
}

TEST_CASE("fields nobody knows yet are skipped, known ones occur once") {
  auto frame = encode(full());
  append_field(frame, 999, std::vector<std::byte>(40));
  append_field(frame, 999, {});
  auto back = read(frame);
  REQUIRE(back.has_value());
  CHECK(*back == full());
  std::string why;
  append_field(frame, 3, std::vector<std::byte>(8));
  CHECK(read(frame, &why).error() == errc::protocol_error);
  CHECK(why.find("twice") != std::string::npos);
}

TEST_CASE("lengths that do not fit are refused") {
  const auto good = encode(full());
  for (std::size_t cut = 33; cut < good.size(); ++cut) {
    auto frame = good;
    frame.resize(cut);
    wire::store(frame.data(), static_cast<std::uint32_t>(cut));
    auto back = read(frame);
    if (back) CHECK_FALSE(*back == full());
  }
  for (std::uint16_t tag = 1; tag <= 15; ++tag) {
    auto frame = encode(make_refuse(refusal::other, make_error_code(errc::refused), ""));
    frame.resize(wire::head_size + 8);
    append_field(frame, tag, std::vector<std::byte>(1025));
    INFO("tag " << tag);
    CHECK(read(frame).error() == errc::protocol_error);
  }
}

TEST_CASE("too many fields, addresses or offers are refused") {
  auto frame = encode(full());
  for (int i = 0; i < 20; ++i) append_field(frame, 11, std::vector<std::byte>(1));
  CHECK(read(frame).error() == errc::protocol_error);
  frame = encode(full());
  for (int i = 0; i < 20; ++i) append_field(frame, 12, {std::byte{1}, std::byte{'x'}});
  CHECK(read(frame).error() == errc::protocol_error);
  frame = encode(full());
  for (int i = 0; i < 60; ++i) append_field(frame, 999, {});
  CHECK(read(frame).error() == errc::protocol_error);
}

TEST_CASE("what must be there is asked for") {
  greeting g = full();
  g.session = 0;
  CHECK(read(encode(g)).error() == errc::protocol_error);
  g.probe = true;
  CHECK(read(encode(g)).has_value());
  g.incarnation = 0;
  CHECK(read(encode(g)).error() == errc::protocol_error);
  g = full();
  g.node_id.clear();
  CHECK(read(encode(g)).error() == errc::protocol_error);
}

TEST_CASE("another version, and what is not kfx, are told apart") {
  auto frame = encode(full());
  wire::store<std::uint16_t>(frame.data() + wire::head_size + 4, 9);
  std::string why;
  CHECK(read(frame, &why).error() == errc::version_mismatch);
  CHECK(why.find("version 9") != std::string::npos);
  CHECK(why.find("version 1") != std::string::npos);
  wire::store<std::uint32_t>(frame.data() + wire::head_size, 0);
  CHECK(read(frame).error() == errc::protocol_error);
  frame = encode(full());
  frame[4] = std::byte{static_cast<std::uint8_t>(wire::type::ping)};
  CHECK(read(frame).error() == errc::protocol_error);
}

TEST_CASE("what is too long is left out or cut, and the frame stays within its bound") {
  greeting g = full();
  g.addresses.assign(100, std::string(max_text, 'a'));
  g.offers.assign(100, {std::string(max_text, 'b'), std::string(max_text, 'c')});
  g.addresses.front() = std::string(max_text + 1, 'x');
  g.name = std::string(1000, 'n');
  g.sentence = std::string(5000, 's');
  const auto frame = encode(g);
  CHECK(frame.size() <= max_greeting);
  auto back = read(frame);
  REQUIRE(back.has_value());
  CHECK(back->addresses.size() == max_addresses);
  CHECK(back->addresses.front().front() == 'a');
  CHECK(back->offers.size() == max_offers);
  CHECK(back->sentence.size() == max_sentence);
}

TEST_CASE("damaged greetings never do harm") {
  kfx_test::rng random(kfx_test::seed("damaged greetings"));
  const auto good = encode(full());
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto frame = good;
    for (std::uint64_t n = 1 + kfx_test::below(random, 4); n > 0; --n)
      frame[wire::head_size + kfx_test::below(random, frame.size() - wire::head_size)] =
          static_cast<std::byte>(kfx_test::below(random, 256));
    std::string why;
    auto back = read(frame, &why);
    if (back) {
      // Whatever was understood can be said again.
      auto again = read(encode(*back));
      REQUIRE(again.has_value());
    } else {
      ++refused;
      REQUIRE_FALSE(why.empty());
    }
  }
  CHECK(refused > 1000);
  CHECK(refused < 20'000);
}
