// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>
#include <numeric>

#include "kfx/error.hpp"
#include "scripted_stream.hpp"
#include "wire/stream_link.hpp"

using namespace kfx_test;
using kfx::backend::whole_limit;
using kfx::wire::stream_link;

namespace {

/// Takes what comes and keeps it, whole frames again.
struct keeping_sink final : kfx::backend::frame_sink {
  bytes got;
  std::vector<kfx::mutable_buffer> landing;
  bytes memory;
  unsigned frames = 0;
  unsigned bulks = 0;
  std::size_t body = 0;
  unsigned refuse_at = ~0u;

  bool on_frame(kfx::const_buffer head, kfx::const_buffer rest) override {
    got.insert(got.end(), head.begin(), head.end());
    got.insert(got.end(), rest.begin(), rest.end());
    return frames++ != refuse_at;
  }
  std::span<const kfx::mutable_buffer> on_bulk(kfx::const_buffer head, std::size_t size) override {
    got.insert(got.end(), head.begin(), head.end());
    memory.assign(size, std::byte{});
    landing.assign(1, kfx::mutable_buffer(memory));
    ++bulks;
    return landing;
  }
  bool on_bulk_done() override {
    got.insert(got.end(), memory.begin(), memory.end());
    return frames++ != refuse_at;
  }
  void on_sent(kfx::backend::cookie) override {}
  void on_quiet(kfx::backend::cookie) override {}
  void on_direct(kfx::backend::cookie, std::error_code) override {}
};

struct receiver {
  std::shared_ptr<direction> in = std::make_shared<direction>();
  scripted_stream* stream = new scripted_stream(std::make_shared<direction>(), in);
  stream_link link{std::unique_ptr<scripted_stream>(stream)};
  keeping_sink sink;

  void feed(kfx::const_buffer b) { in->data.insert(in->data.end(), b.begin(), b.end()); }
  kfx::backend::link::polled poll(unsigned budget = 64) { return link.poll(sink, budget); }
};

bytes concatenated(const std::vector<recipe>& list) {
  bytes all;
  for (const recipe& c : list) {
    const bytes one = c.whole();
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

}  // namespace

TEST_CASE("small frames split at every byte arrive whole, with and without what follows") {
  const std::vector<recipe> list{{1, 4, 0}, {2, 9, 0}, {3, 4, 1}, {4, 5, 100}, {5, 4, 0}, {6, 7, 33}};
  const bytes all = concatenated(list);
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    receiver r;
    r.feed(std::span(all).first(cut));
    const auto first = r.poll();
    REQUIRE_FALSE(first.error);
    std::size_t whole = 0;
    unsigned frames = 0;
    while (frames < list.size() && whole + list[frames].size() <= cut) whole += list[frames++].size();
    REQUIRE(first.frames == frames);
    REQUIRE(first.partial == (cut > whole));
    r.feed(std::span(all).subspan(cut));
    const auto second = r.poll();
    REQUIRE(second.frames == list.size() - frames);
    REQUIRE_FALSE(second.partial);
    REQUIRE(r.sink.got == all);
  }
}

TEST_CASE("frames around the limit of whole frames, a few bytes at a time") {
  std::vector<recipe> list;
  for (std::size_t size : {whole_limit - 1, whole_limit, whole_limit + 1, whole_limit + 5000})
    for (unsigned words : {4u, 9u}) list.push_back({list.size(), words, size - words * 8});
  const bytes all = concatenated(list);
  for (std::size_t step : {1u, 7u, 31u, 32u, 33u, 71u, 4096u, 16384u, 65536u, 1u << 20}) {
    receiver r;
    r.feed(all);
    r.stream->on_recv = [step](std::size_t) { return step; };
    unsigned frames = 0;
    while (frames < list.size()) {
      const auto p = r.poll(3);
      REQUIRE_FALSE(p.error);
      REQUIRE(p.frames <= 3);
      frames += p.frames;
    }
    REQUIRE(r.sink.got == all);
    if (step < whole_limit) REQUIRE(r.sink.bulks == 4);
  }
}

TEST_CASE("a large frame split at every byte of its head and of the next head") {
  const std::vector<recipe> list{{1, 9, 20000}, {2, 9, 20000}};
  const bytes all = concatenated(list);
  std::vector<std::size_t> cuts(200);
  std::iota(cuts.begin(), cuts.end(), 0);
  for (std::size_t i = 0; i < 200; ++i) cuts.push_back(20072 - 100 + i);
  for (std::size_t cut : cuts) {
    receiver r;
    r.feed(std::span(all).first(cut));
    REQUIRE_FALSE(r.poll().error);
    r.feed(std::span(all).subspan(cut));
    for (int i = 0; i < 5; ++i) REQUIRE_FALSE(r.poll().error);
    REQUIRE(r.sink.got == all);
    REQUIRE(r.sink.frames == 2);
  }
}

TEST_CASE("a poll of an idle stream is one call, and a short answer is not asked again") {
  receiver r;
  CHECK(r.poll().frames == 0);
  CHECK_FALSE(r.poll().partial);
  CHECK(r.stream->recvs == 2);
  r.feed(concatenated({{1, 4, 8}, {2, 4, 8}}));
  CHECK(r.poll().frames == 2);
  CHECK(r.stream->recvs == 3);
  const bytes another = concatenated({{1, 4, 8}});
  r.feed(std::span(another).first(20));
  CHECK(r.poll().partial);
  CHECK_FALSE(r.poll().partial);
  CHECK(r.stream->recvs == 5);
}

TEST_CASE("a large body is received in place: little of it goes through the buffer") {
  receiver r;
  const bytes frame = recipe{1, 4, 1u << 20}.whole();
  r.feed(frame);
  CHECK(r.poll().frames == 1);  // the first is met by surprise
  r.stream->recvs = 0;
  for (int i = 0; i < 10; ++i) r.feed(frame);
  unsigned frames = 0;
  std::size_t least = ~std::size_t{0};
  r.stream->on_recv = [&](std::size_t) {
    if (r.stream->recvs > 1) least = std::min(least, r.stream->last_asked);
    return std::size_t{1} << 30;
  };
  while (frames < 10) frames += r.poll().frames;
  CHECK(r.stream->recvs == 11);
  // Landing, plus a short look at what follows.
  CHECK(least > (1u << 20) - 2 * kfx::wire::stream_rx::least_ahead);
  CHECK(r.stream->last_asked <= (1u << 20) + kfx::wire::stream_rx::least_ahead);
}

TEST_CASE("after large frames the read-ahead grows again with small ones") {
  receiver r;
  r.feed(recipe{1, 4, 1u << 20}.whole());
  while (r.poll().frames == 0) {
  }
  r.poll();
  CHECK(r.stream->last_asked == kfx::wire::stream_rx::least_ahead);
  for (int i = 0; i < 4000; ++i) r.feed(recipe{1, 4, 32}.whole());
  for (unsigned n = 0; n < 4000;) {
    const auto p = r.poll(10000);
    REQUIRE(p.frames > 0);
    n += p.frames;
  }
  CHECK(r.stream->last_asked == kfx::wire::chunk_size);
}

TEST_CASE("a budget holds frames back, and arming says so") {
  receiver r;
  r.feed(concatenated({{1, 4, 8}, {2, 4, 8}, {3, 4, 8}}));
  CHECK(r.poll(0).frames == 0);
  CHECK(r.poll(2).frames == 2);
  CHECK(r.link.arm().fd < 0);
  CHECK(r.poll(2).frames == 1);
  CHECK(r.link.arm().fd == 77);
  CHECK_FALSE(r.link.arm().writable);
}

TEST_CASE("impossible lengths and refused frames end the link with protocol_error") {
  auto expect_error = [](receiver& r, unsigned frames) {
    const auto p = r.poll();
    CHECK(p.frames == frames);
    CHECK(p.error == kfx::errc::protocol_error);
    const unsigned recvs = r.stream->recvs;
    CHECK(r.poll().error == kfx::errc::protocol_error);
    CHECK(r.poll().frames == 0);
    CHECK(r.stream->recvs == recvs);
    CHECK(r.link.arm().fd < 0);
  };
  const std::vector<std::pair<std::uint32_t, unsigned>> bad{{31, 4}, {0, 4}, {33 + (1u << 20), 4}, {64, 3}, {96, 10}};
  for (const auto& [length, words] : bad) {
    receiver r;
    bytes b = concatenated({{1, 4, 8}, {2, 4, 100}, {3, 4, 8}});
    kfx::wire::store(b.data() + 40, length);
    b[45] = static_cast<std::byte>(words);
    r.feed(b);
    expect_error(r, 1);
  }
  {
    receiver r;
    r.sink.refuse_at = 1;
    r.feed(concatenated({{1, 4, 8}, {2, 4, 100}, {3, 4, 8}}));
    expect_error(r, 2);
  }
  {
    receiver r;
    r.sink.refuse_at = 1;
    r.feed(concatenated({{1, 4, 8}, {2, 4, 100000}, {3, 4, 8}}));
    expect_error(r, 2);
  }
}

TEST_CASE("frames before the end of the stream are handed over, then its error") {
  receiver r;
  r.feed(concatenated({{1, 4, 8}}));
  const bytes cut_off = recipe{2, 4, 8}.whole();
  r.feed(std::span(cut_off).first(35));
  r.in->broken = std::make_error_code(std::errc::connection_reset);
  const auto p = r.poll();
  CHECK(p.frames == 1);
  CHECK_FALSE(p.error);
  CHECK(r.poll().error == std::errc::connection_reset);
  CHECK(r.poll().error == std::errc::connection_reset);
}

TEST_CASE("a sink may close the link from inside any of its functions") {
  struct closing_sink : kfx::backend::frame_sink {
    stream_link* link = nullptr;
    int where = 0;
    unsigned calls = 0;
    bytes memory = bytes(100000);
    kfx::mutable_buffer landing{memory};
    void maybe(int here) {
      ++calls;
      if (here == where) link->close();
    }
    bool on_frame(kfx::const_buffer head, kfx::const_buffer body) override {
      maybe(0);
      return kfx::wire::load<std::uint32_t>(head.data()) == head.size() + body.size();  // still readable
    }
    std::span<const kfx::mutable_buffer> on_bulk(kfx::const_buffer, std::size_t) override {
      maybe(1);
      return {&landing, 1};
    }
    bool on_bulk_done() override {
      maybe(2);
      return true;
    }
    void on_sent(kfx::backend::cookie) override {}
    void on_quiet(kfx::backend::cookie) override {}
    void on_direct(kfx::backend::cookie, std::error_code) override {}
  };
  for (int where = 0; where < 3; ++where) {
    receiver r;
    closing_sink sink;
    sink.link = &r.link;
    sink.where = where;
    r.feed(concatenated({{1, 4, 8}, {2, 4, 100000}, {3, 4, 8}}));
    const auto p = r.link.poll(sink, 64);
    CHECK(p.error == std::errc::not_connected);
    CHECK(sink.calls == static_cast<unsigned>(where) + 1);
    CHECK(r.stream->closed);
    CHECK(r.link.poll(sink, 64).error);
    CHECK(sink.calls == static_cast<unsigned>(where) + 1);
  }
}
