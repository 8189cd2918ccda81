// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "kfx/error.hpp"
#include "scripted_stream.hpp"
#include "wire/stream_link.hpp"

using namespace kfx_test;
using kfx::backend::cookie;
using kfx::wire::chunk_size;
using kfx::wire::stream_link;
using kfx::wire::stream_tx;

namespace {

struct sent_sink final : kfx::backend::frame_sink {
  std::vector<cookie> sent;
  std::function<void(cookie)> then;
  bool on_frame(kfx::const_buffer, kfx::const_buffer) override { return false; }
  std::span<const kfx::mutable_buffer> on_bulk(kfx::const_buffer, std::size_t) override { return {}; }
  bool on_bulk_done() override { return false; }
  void on_sent(cookie c) override {
    sent.push_back(c);
    if (then) then(c);
  }
  void on_quiet(cookie) override {}
  void on_direct(cookie, std::error_code) override {}
};

struct sender {
  std::shared_ptr<direction> out = std::make_shared<direction>();
  scripted_stream* stream = new scripted_stream(out, std::make_shared<direction>());
  stream_link link{std::unique_ptr<scripted_stream>(stream)};
  sent_sink sink;
  std::size_t room = ~std::size_t{0};  ///< bytes the stream still takes
  bytes want;

  sender() {
    stream->on_send = [this](std::size_t asked) {
      const std::size_t n = std::min(room, asked);
      room -= n;
      return n;
    };
  }
  bool commit(const recipe& c) {
    const auto window = link.reserve(c.size());
    if (window.empty()) return false;
    const bytes b = c.whole();
    std::copy(b.begin(), b.end(), window.begin());
    link.commit(b.size());
    want.insert(want.end(), b.begin(), b.end());
    return true;
  }
  bool post(const recipe& c, kfx::const_buffer body) { return post(c, std::vector<kfx::const_buffer>{body}); }
  bool post(const recipe& c, const std::vector<kfx::const_buffer>& body) {
    if (!link.post(c.head(), body, c.id)) return false;
    const bytes b = c.head();
    want.insert(want.end(), b.begin(), b.end());
    for (const auto& f : body) want.insert(want.end(), f.begin(), f.end());
    return true;
  }
  void flush(std::size_t bytes_taken = ~std::size_t{0}) {
    room = bytes_taken;
    REQUIRE_FALSE(link.flush(sink));
  }
};

bytes body_of(const recipe& c) {
  bytes b(c.body);
  fill_pattern(b, c.id);
  return b;
}

}  // namespace

TEST_CASE("committed frames leave in one piece and one call") {
  sender s;
  for (unsigned i = 0; i < 100; ++i) REQUIRE(s.commit({i, 4, 32}));
  CHECK(s.link.arm().writable);
  s.flush();
  CHECK(s.stream->sends == 1);
  CHECK(s.stream->most_pieces == 1);
  CHECK(s.out->data == s.want);
  CHECK_FALSE(s.link.arm().writable);
  s.flush();
  CHECK(s.stream->sends == 1);
}

TEST_CASE("whatever part of the bytes the stream takes, the rest follows") {
  const recipe posted{2, 6, 3000};
  const bytes body = body_of(posted);
  const std::size_t total = recipe{1, 4, 10}.size() + posted.size() + recipe{3, 4, 0}.size() + recipe{4, 5, 7}.size();
  for (std::size_t cut = 0; cut <= total; ++cut) {
    sender s;
    REQUIRE(s.commit({1, 4, 10}));
    const std::span<const std::byte> b(body);
    REQUIRE(s.post(posted, {b.first(1), b.subspan(1, 0), b.subspan(1, 999), b.subspan(1000)}));
    REQUIRE(s.commit({3, 4, 0}));
    REQUIRE(s.post({4, 5, 7}, b.first(7)));
    s.flush(cut);
    REQUIRE(s.out->data.size() == cut);
    const std::size_t first_end = total - recipe{3, 4, 0}.size() - recipe{4, 5, 7}.size();
    REQUIRE(s.sink.sent.size() == (cut >= total ? 2u : cut >= first_end ? 1u : 0u));
    REQUIRE(s.link.arm().writable == (cut < total));
    s.flush();
    REQUIRE(s.out->data == s.want);
    REQUIRE(s.sink.sent == std::vector<cookie>{2, 4});
  }
}

TEST_CASE("bodies without bytes are reported, in order and once") {
  sender s;
  REQUIRE(s.post({1, 4, 0}, std::vector<kfx::const_buffer>{}));
  REQUIRE(s.post({2, 4, 0}, std::vector<kfx::const_buffer>(300)));
  CHECK(s.sink.sent.empty());
  s.flush(40);
  CHECK(s.sink.sent == std::vector<cookie>{1});
  s.flush();
  CHECK(s.sink.sent == std::vector<cookie>{1, 2});
  CHECK(s.out->data == s.want);
}

TEST_CASE("no call gathers more than 64 pieces, and bodies of many fragments arrive") {
  sender s;
  const recipe c{1, 4, 600 * 1000};
  const bytes body = body_of(c);
  std::vector<kfx::const_buffer> list;
  for (std::size_t i = 0; i < 1000; ++i) list.push_back(std::span(body).subspan(i * 600, 600));
  REQUIRE(s.post(c, list));
  s.flush();
  CHECK(s.stream->most_pieces == 64);
  CHECK(s.out->data == s.want);
  CHECK(s.sink.sent == std::vector<cookie>{1});
}

TEST_CASE("back-pressure: a stream that takes nothing bounds what is queued, and everything comes through after") {
  const recipe large{0, 4, 256 * 1024};
  const bytes body = body_of(large);
  SECTION("staged bytes") {
    sender s;
    s.room = 0;
    std::size_t staged = 0;
    for (recipe c{1, 4, 1000}; s.commit(c); ++c.id) {
      staged += c.size();
      REQUIRE(staged <= stream_tx::max_chunks * chunk_size);
    }
    CHECK(staged > (stream_tx::max_chunks - 1) * chunk_size);
    s.flush(100);
    CHECK(s.link.reserve(chunk_size).empty());
    s.flush();
    CHECK(s.link.reserve(chunk_size).size() >= chunk_size);
    CHECK(s.out->data == s.want);
  }
  SECTION("posted bytes") {
    sender s;
    std::size_t posted = 0;
    for (recipe c = large; s.post(c, body); ++c.id) posted += c.body;
    CHECK(posted >= stream_tx::max_waiting);
    CHECK(posted <= 2 * stream_tx::max_waiting);
    CHECK(s.commit({100, 4, 8}));  // small frames are still taken, behind what waits
    s.flush();
    CHECK(s.out->data == s.want);
    CHECK(s.post(large, body));
  }
  SECTION("posted bodies") {
    sender s;
    recipe c{1, 4, 600};
    while (s.post(c, std::span(body).first(600))) ++c.id;
    CHECK(c.id - 1 == stream_tx::max_bodies);
    s.flush();
    CHECK(s.sink.sent.size() == stream_tx::max_bodies);
    CHECK(s.out->data == s.want);
  }
}

TEST_CASE("staged bytes stay until the last of them is sent") {
  for (std::size_t left : {0u, 1u, 2u, 100u}) {
    sender s;
    const recipe most{1, 4, chunk_size - 100};
    REQUIRE(s.commit(most));
    REQUIRE(s.commit({2, 4, 1000}));  // does not fit behind it
    s.flush(most.size() - left);
    REQUIRE(s.commit({3, 4, chunk_size - 2000}));  // wants a chunk more
    REQUIRE(s.commit({4, 4, chunk_size - 100}));
    s.flush();
    REQUIRE(s.out->data == s.want);
  }
}

TEST_CASE("a window of any size up to the largest can be had once all is sent") {
  sender s;
  for (std::size_t n : {std::size_t{1}, std::size_t{32}, chunk_size - 1, chunk_size}) {
    CHECK(s.link.reserve(n).size() >= n);
    REQUIRE(s.commit({n, 4, 100}));
    s.flush();
  }
  CHECK(s.link.reserve(chunk_size + 1).empty());
  CHECK(s.link.caps().max_window == chunk_size);
}

TEST_CASE("a window outlives a flush and ends with a post") {
  sender s;
  REQUIRE(s.commit({1, 4, 100}));
  const recipe c{2, 4, 5000};
  const auto window = s.link.reserve(c.size());
  s.flush();
  const bytes b = c.whole();
  std::copy(b.begin(), b.end(), window.begin());
  s.link.commit(b.size());
  s.want.insert(s.want.end(), b.begin(), b.end());
  s.flush();
  CHECK(s.out->data == s.want);
  REQUIRE_FALSE(s.link.reserve(10).empty());
  REQUIRE(s.post({3, 4, 0}, std::vector<kfx::const_buffer>{}));
  s.link.commit(10);  // not a window any more: nothing
  s.flush();
  CHECK(s.out->data == s.want);
}

TEST_CASE("quiesce at every point of a frame: the frame is finished with the bytes it had") {
  const recipe c{5, 5, 2000};
  const std::size_t before = recipe{1, 4, 10}.size();
  for (std::size_t cut = 0; cut <= before + c.size() + 50; cut += 1 + cut % 7) {
    sender s;
    bytes body = body_of(c);
    const std::span<const std::byte> b(body);
    REQUIRE(s.commit({1, 4, 10}));
    REQUIRE(s.post(c, {b.first(700), b.subspan(700, 100), b.subspan(800)}));
    REQUIRE(s.post({6, 4, 600}, b.first(600)));
    REQUIRE(s.commit({7, 4, 100}));
    s.flush(cut);
    const bool was_sent = cut >= before + c.size();
    REQUIRE(s.link.quiesce(5));
    REQUIRE(s.link.quiesce(5));
    REQUIRE(s.link.quiesce(6));
    REQUIRE(s.link.quiesce(12345));
    std::fill(body.begin(), body.end(), std::byte{0xdd});
    s.flush(300);
    s.flush();
    REQUIRE(s.out->data == s.want);
    REQUIRE(s.sink.sent == (was_sent ? std::vector<cookie>{5} : std::vector<cookie>{}));
  }
}

TEST_CASE("quiesce covers every body under its cookie") {
  sender s;
  bytes body(20000);
  fill_pattern(body, 1);
  for (int i = 0; i < 3; ++i) REQUIRE(s.post({9, 4, body.size()}, body));
  s.flush(body.size() + 100);
  CHECK(s.sink.sent == std::vector<cookie>{9});
  REQUIRE(s.link.quiesce(9));
  std::fill(body.begin(), body.end(), std::byte{0xdd});
  s.flush();
  CHECK(s.out->data == s.want);
  CHECK(s.sink.sent.size() == 1);
}

TEST_CASE("the sink may post, flush and close from on_sent") {
  const recipe c{0, 4, 1000};
  const bytes body = body_of(c);
  SECTION("post and flush") {
    sender s;
    s.sink.then = [&](cookie n) {
      if (n < 20) {
        REQUIRE(s.post({n + 2, 4, 1000}, body));
        if (n % 3 == 0) REQUIRE_FALSE(s.link.flush(s.sink));
      }
    };
    REQUIRE(s.post({0, 4, 1000}, body));
    REQUIRE(s.post({1, 4, 1000}, body));
    s.flush();
    CHECK(s.sink.sent.size() == 22);
    CHECK(s.out->data == s.want);
  }
  SECTION("close") {
    sender s;
    s.sink.then = [&](cookie) { s.link.close(); };
    for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(s.post({i, 4, 1000}, body));
    s.room = ~std::size_t{0};
    CHECK(s.link.flush(s.sink));
    CHECK(s.sink.sent == std::vector<cookie>{0});
  }
}

TEST_CASE("a dead stream says so in every flush; after close nothing is taken or reported") {
  const recipe c{1, 4, 1000};
  const bytes body = body_of(c);
  sender s;
  REQUIRE(s.post(c, body));
  s.out->broken = std::make_error_code(std::errc::broken_pipe);
  s.room = 0;
  CHECK(s.link.flush(s.sink) == std::errc::broken_pipe);
  s.room = 10000;
  CHECK(s.link.flush(s.sink) == std::errc::broken_pipe);
  CHECK(s.link.quiesce(1));
  s.link.close();
  s.link.close();
  CHECK(s.stream->closed);
  CHECK(s.link.flush(s.sink) == std::errc::not_connected);
  CHECK(s.link.reserve(10).empty());
  CHECK_FALSE(s.link.post(c.head(), {}, 2));
  CHECK(s.link.quiesce(1));
  CHECK(s.sink.sent.empty());
  CHECK(s.out->data.empty());
}
