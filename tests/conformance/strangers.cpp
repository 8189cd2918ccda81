// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What comes from somebody who does not speak kfx, or speaks it badly, to a port that anybody can reach.

#include <algorithm>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "suite.hpp"

namespace kfx::test {
namespace {

namespace asio = boost::asio;

/// A plain connection to the node's port.
class stranger {
 public:
  explicit stranger(const std::string& uri) {
    const std::string place = uri.substr(uri.find("://") + 3);
    const std::string port = place.substr(place.rfind(':') + 1, place.find('?') - place.rfind(':') - 1);
    asio::connect(socket_, asio::ip::tcp::resolver(io_).resolve("127.0.0.1", port));
  }
  void say(const std::vector<std::byte>& bytes) {
    boost::system::error_code ignored;  // it may have hung up on us, as it should
    asio::write(socket_, asio::buffer(bytes), ignored);
  }
  void stop_writing() {
    boost::system::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  }
  /// The node ends the conversation. The socket's own timeout bounds the wait.
  bool is_dropped() {
    timeval limit{20, 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::array<char, 4096> buffer;
    for (;;) {
      const auto n = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return true;
      if (n < 0 && errno == EAGAIN) return false;
    }
  }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_{io_};
};

std::vector<std::byte> random_bytes(random_source& rng, std::size_t n) {
  std::vector<std::byte> v(n);
  for (auto& b : v) b = static_cast<std::byte>(rng.next());
  return v;
}

/// A head as docs/wire-format.md has it, with arbitrary fields.
std::vector<std::byte> frame(std::uint32_t length, std::uint8_t type, std::uint8_t words, random_source& rng) {
  auto v = random_bytes(rng, 32);
  std::memcpy(v.data(), &length, 4);
  v[4] = static_cast<std::byte>(type);
  v[5] = static_cast<std::byte>(words);
  return v;
}

}  // namespace

TEST_CASE("garbage from a stranger ends his connection and nothing else", "[strangers][processes]") {
  INFO("seed " << process_seed());
  random_source rng("garbage");
  world w;
  w.memory.fill(std::byte{0});
  w.connect();
  const std::string uri = uri_of(**w.server);
  for (std::size_t n = repeats("KFX_TEST_ROUNDS", 1000) / 4; n > 0; --n) {
    stranger s(uri);
    switch (rng.below(5)) {
      case 0:
        s.say(random_bytes(rng, rng.size(100000)));
        break;
      case 1:
        s.say(frame(32, static_cast<std::uint8_t>(rng.next()), 4, rng));
        break;
      case 2:
        s.say(frame(0xffffffff, 16, 4, rng));
        break;
      case 3:
        s.say(frame(32 + static_cast<std::uint32_t>(rng.size(1000000)), 1, 4, rng));
        break;
      default:
        // Well-formed frames of every type from somebody who never said hello.
        for (std::uint8_t type = 0; type < 32; ++type) s.say(frame(72, type, 9, rng));
    }
    if (rng.one_in(2)) s.stop_writing();
    if (rng.one_in(10)) must(w.peer.write(noise().first(100), w.remote.at(0, 100)));
  }
  must(w.peer.write(noise().first(100), w.remote.at(0, 100)));
  CHECK(std::all_of(w.memory.data() + 100, w.memory.data() + w.memory.size(),
                    [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("a stranger who breaks the protocol is hung up on", "[strangers][processes]") {
  INFO("seed " << process_seed());
  random_source rng("hung up");
  world w;
  const std::string uri = uri_of(**w.server);
  stranger lengths(uri);
  lengths.say(frame(0xffffffff, 16, 4, rng));
  CHECK(lengths.is_dropped());
  stranger types(uri);
  types.say(frame(32, 16, 4, rng));
  CHECK(types.is_dropped());
  stranger half(uri);
  half.say(frame(1000, 1, 4, rng));
  half.stop_writing();
  CHECK(half.is_dropped());
  w.connect();
  must(w.peer.write(noise().first(100), w.remote.at(0, 100)));
}

TEST_CASE("many silent strangers keep nobody out", "[strangers][processes]") {
  world w;
  const std::string uri = uri_of(**w.server);
  std::vector<std::unique_ptr<stranger>> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(std::make_unique<stranger>(uri));
  w.connect();
  must(w.peer.write(noise().first(100), w.remote.at(0, 100)));
}

}  // namespace kfx::test
