// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// A server that lies to its client, and a client that talks nonsense to its server.
#include <catch2/catch.hpp>
#include <kfx/kfx.hpp>
#include <random>

#include "get.hpp"
#include "protocol.hpp"
#include "scratch.hpp"
#include "server.hpp"
#include "session.hpp"

namespace fs = std::filesystem;
using namespace store;
using store_test::read_text;
using store_test::scratch;
using store_test::write_text;

namespace {

kfx::const_buffer raw_bytes(std::string_view s) { return std::as_bytes(std::span(s)); }

/// Answers `stat` with a directory and every `list` with the same packet.
class liar {
 public:
  explicit liar(std::vector<std::byte> packet, reply said = {}) : packet_(std::move(packet)), said_(said) {
    node_.on_message([this](kfx::message m) {
      const auto r = parse_request(m.header());
      if (!r) return m.reject(std::make_error_code(std::errc::protocol_error));
      if (r->head.op == verb::stat) {
        const reply directory{.kind = kind::directory, .mode = 0755, .mtime = 1};
        return m.reply(std::as_bytes(std::span(&directory, 1)));
      }
      if (r->head.op != verb::list) return m.reply(std::as_bytes(std::span(&said_, 1)));
      head_ = said_;
      head_.bytes = packet_.size();
      m.reply(std::as_bytes(std::span(&head_, 1)), kfx::const_buffer(packet_)).detach();
    });
  }
  std::string uri() const { return node_.addresses().front(); }

 private:
  const std::vector<std::byte> packet_;
  const reply said_;
  reply head_;
  kfx::node node_{kfx::options{.listen = {"tcp://127.0.0.1:0"}}};
};

std::vector<std::byte> packet_of(const std::vector<std::tuple<entry, std::string, std::string>>& entries) {
  std::vector<std::byte> space(1 << 16);
  packet_writer to{kfx::mutable_buffer(space)};
  for (const auto& [head, name, data] : entries) to.add(head, name, data);
  space.resize(to.bytes());
  return space;
}

/// Fetches the liar's tree; how many problems were told.
std::uint64_t fetch(const liar& l, const fs::path& to) {
  session s(l.uri(), 2);
  report r("get", l.uri(), true);
  try {
    getter(s, r, {.recursive = true, .no_sync = true}).run(".", to);
  } catch (const std::exception&) {
    return 1;
  }
  return r.count.failed;
}

}  // namespace

TEST_CASE("a hostile server writes nothing outside the target") {
  scratch s;
  fs::create_directories(s.path() / "outside");
  const entry file{.kind = kind::file, .flags = has_content, .mode = 0644, .size = 4};
  const entry link{.kind = kind::symlink};
  const entry directory{.kind = kind::directory, .mode = 0755};
  const std::string outside = s.path() / "outside";
  std::vector<std::tuple<entry, std::string, std::string>> entries{
      {file, "../evil", "evil"},
      {file, "..", "evil"},
      {file, "/tmp/kfx-evil", "evil"},
      {file, "a/b", "evil"},
      {file, "", "evil"},
      {directory, "..", ""},
      {directory, "../dir", ""},
      {link, "../link", "x"},
      {link, "door", outside},
      {file, ".kfx-part.0123456789abcdef", "evil"},
      {file, std::string(300, 'n'), "evil"},
  };
  const liar l(packet_of(entries), {.end = 1});
  CHECK(fetch(l, s.path() / "target") > 0);
  CHECK(fs::is_empty(s.path() / "outside"));
  CHECK_FALSE(fs::exists(s.path() / "evil"));
  CHECK_FALSE(fs::exists("/tmp/kfx-evil"));
  // What is allowed is a symlink that leads out; what is not is walking through it.
  CHECK(fs::is_symlink(s.path() / "target/door"));
  entries = {{directory, "door", ""}, {file, "fine", "evil"}};
  const liar through(packet_of(entries), {.end = 1});
  CHECK(fetch(through, s.path() / "target") > 0);
  CHECK(fs::is_empty(s.path() / "outside"));
}

TEST_CASE("a server whose tree has no end in depth ends in an error") {
  scratch s;
  const liar l(packet_of({{entry{.kind = kind::directory, .mode = 0755}, std::string(200, 'd'), ""}}), {.end = 1});
  CHECK(fetch(l, s.path() / "target") > 0);
}

TEST_CASE("a server that never ends a list, or lies about its lengths, is an error") {
  scratch s;
  CHECK(fetch(liar({}, {.end = 0}), s.path() / "a") > 0);
  CHECK(fetch(liar(std::vector<std::byte>(100, std::byte{0xff}), {.end = 1}), s.path() / "b") > 0);
  // A large file of which it only says that it has written it.
  const entry big{.kind = kind::file, .flags = dense, .mode = 0644, .size = 4096};
  const liar l(packet_of({{big, "big", ""}}), {.bytes = 4096, .end = 1});
  CHECK(fetch(l, s.path() / "c") > 0);
  CHECK_FALSE(fs::exists(s.path() / "c/big"));
}

TEST_CASE("a server survives clients that talk nonsense") {
  const char* given = std::getenv("KFX_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  WARN("KFX_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  scratch s;
  fs::create_directories(s.path() / "root/d");
  write_text(s.path() / "root/f", "content");
  write_text(s.path() / "keep", "keep");
  const server serving({.directory = s.path() / "root", .listen = {"tcp://127.0.0.1:0"}, .threads = 2});
  kfx::node node;
  const kfx::peer peer = node.at(serving.addresses().front());
  const std::vector<std::string> paths{"", "f", "d", "d/x", "..", "../keep", "/", std::string(300, 'x'), "f/g"};
  std::vector<std::byte> space(sizeof(reply) + packet_bytes);
  std::vector<std::byte> payload(8192);
  unsigned refused = 0;
  for (int i = 0; i < 3000; ++i) {
    request r;
    for (auto* p = reinterpret_cast<std::byte*>(&r); p != reinterpret_cast<std::byte*>(&r + 1); ++p)
      *p = static_cast<std::byte>(random());
    r.magic = random() % 16 ? magic : 0;
    r.op = static_cast<verb>(random() % (static_cast<unsigned>(last_verb) + 3));
    if (r.op == verb::remove || r.op == verb::sync) continue;
    r.mtime_ns %= 1'000'000'000;
    if (random() % 2) r.length %= chunk_bytes;
    if (random() % 2) r.offset = random() % 100;
    std::string text = encode(r, paths[random() % paths.size()]);
    if (random() % 8 == 0) text.resize(random() % (text.size() + 1));
    for (auto& b : payload) b = static_cast<std::byte>(random());
    const auto sent = kfx::const_buffer(payload).first(random() % 2 ? 0 : random() % payload.size());
    kfx::op_options o;
    o.reply = kfx::mutable_buffer(space);
    auto op = peer.send(text.empty() ? kfx::const_buffer() : raw_bytes(text), sent, o);
    refused += op.complete(std::chrono::seconds(30)).has_error();
    REQUIRE(op.ready());
  }
  CHECK(refused > 100);
  CHECK(read_text(s.path() / "keep") == "keep");
  session good(serving.addresses().front(), 2);
  report told("get", "", true);
  getter(good, told, {.no_sync = true}).run("f", s.path() / "got");
  CHECK(told.count.failed == 0);
  CHECK(read_text(s.path() / "got") == "content");
}
