// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What a receiver can do with a message, and what its sender hears of it.

#include <algorithm>
#include <cstring>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// Hands messages to the test's thread.
class mailbox {
 public:
  counter arrived;
  void serve(node& n) {
    n.on_message([this](message m) {
      {
        std::lock_guard lock(m_);
        list_.push_back(std::move(m));
      }
      arrived.add();
    });
  }
  /// The next one; its test fails when there is none.
  message take() {
    ++taken_;
    if (!arrived.reaches(taken_)) FAIL("message " << taken_ << " did not arrive");
    std::lock_guard lock(m_);
    message m = std::move(list_.front());
    list_.erase(list_.begin());
    return m;
  }

 private:
  std::mutex m_;
  std::vector<message> list_;
  std::uint64_t taken_ = 0;
};

/// A category kfx knows nothing about.
class foreign_category : public std::error_category {
  const char* name() const noexcept override { return "foreign"; }
  std::string message(int) const override { return "foreign"; }
};

}  // namespace

TEST_CASE("a receive places the payload once: scattered, short, or not at all", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  mailbox box;
  world w(mode);
  box.serve(**w.server);
  w.connect();
  random_source rng("receive");
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 20; n > 0; --n) {
    const std::size_t size = rng.size(1 << 20);
    const auto payload = noise_pieces(rng, size, 40);
    auto o = w.peer.send(head.bytes(), payload, {.lane = 2});
    message m = box.take();
    REQUIRE(m.valid());
    REQUIRE(same(head.bytes(), m.header()));
    REQUIRE(m.payload_size() == size);
    REQUIRE(m.lane() == 2);
    REQUIRE_FALSE(m.wants_reply());
    const std::size_t taken = rng.one_in(3) ? rng.below(size + 1) : size;
    guarded into(taken);
    into.fill(std::byte{0});
    const auto pieces = shuffled_pieces(rng, into.span(), 40);
    if (!rng.one_in(5)) {
      REQUIRE_FALSE(o.ready());
      REQUIRE(must(m.receive(pieces)).bytes == taken);
      std::vector<std::byte> flat;
      for (const const_buffer& p : payload) flat.insert(flat.end(), p.begin(), p.end());
      REQUIRE(same(pieces, const_buffer(flat).first(taken)));
      REQUIRE(error_of(m.receive(pieces)) == errc::already_received);
      m = {};
      REQUIRE(must(o).bytes == taken);
    } else {
      m = {};
      REQUIRE(must(o).bytes == 0);
    }
  }
}

TEST_CASE("a longer buffer than the payload", "[messages]") {
  mailbox box;
  world w;
  box.serve(**w.server);
  w.connect();
  for (const std::size_t size : {0u, 100u, 300000u}) {
    auto o = w.peer.send(head.bytes(), noise().first(size));
    message m = box.take();
    guarded into(size + 5000);
    into.fill(std::byte{0x11});
    CHECK(must(m.receive(into.span())).bytes == size);
    CHECK(same(noise().first(size), into.part(0, size)));
    CHECK(std::all_of(into.data() + size, into.data() + into.size(), [](std::byte b) { return b == std::byte{0x11}; }));
    m = {};
    CHECK(must(o).bytes == size);
  }
}

TEST_CASE("a node without a handler drops messages", "[messages]") {
  world w;
  w.connect();
  CHECK(error_of(w.peer.send(head.bytes())) == errc::dropped);
  CHECK(error_of(w.peer.send(head.bytes(), noise().first(1 << 20))) == errc::dropped);
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
}

TEST_CASE("a message let go unanswered ends a call with dropped", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  mailbox box;
  std::array<std::byte, 100> answer{};
  world w(mode);
  box.serve(**w.server);
  w.connect();
  auto o = w.peer.send(head.bytes(), noise().first(100000), {.reply = answer});
  message m = box.take();
  CHECK(m.wants_reply());
  m = {};
  CHECK(error_of(o) == errc::dropped);
}

TEST_CASE("replies from other threads, late and in any order", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  mailbox box;
  world w(mode);
  box.serve(**w.server);
  w.connect();
  constexpr std::size_t count = 300;
  std::vector<tag> headers(count);
  std::vector<std::array<std::byte, 4096>> answers(count);
  batch calls;
  for (std::size_t i = 0; i < count; ++i) {
    headers[i] = {1, i};
    calls.add(w.peer.send(headers[i].bytes(), {}, {.lane = static_cast<lane>(i % 3), .reply = answers[i]}));
  }
  std::vector<message> kept;
  for (std::size_t i = 0; i < count; ++i) kept.push_back(box.take());
  CHECK_FALSE(calls.ready());
  // Others are served while these are kept.
  for (int i = 0; i < 20; ++i) must(w.peer.write(noise().first(100), w.remote.at(0, 100)));
  random_source rng("replies");
  std::shuffle(kept.begin(), kept.end(), rng.engine());
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < count; i += 3) {
        const tag x = tag::of(kept[i]);
        kept[i].reply(noise().subspan(x.id * 10, 1 + x.id * 4 % 4096));
      }
    });
  for (auto& t : threads) t.join();
  REQUIRE(calls.complete(patience).has_value());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t n = 1 + i * 4 % 4096;
    REQUIRE(calls[i]->bytes == n);
    REQUIRE(same(noise().subspan(i * 10, n), const_buffer(answers[i]).first(n)));
  }
}

TEST_CASE("kept messages keep their header and nothing else", "[messages]") {
  INFO("seed " << process_seed());
  mailbox box;
  counter others;
  world w(progress::threads, 1 << 20);
  box.serve(**w.server);
  w.connect();
  random_source rng("kept");
  // More than any ring could hold, fewer than the credits.
  constexpr std::size_t count = 256;
  std::vector<std::vector<std::byte>> headers(count);
  batch sends;
  for (std::size_t i = 0; i < count; ++i) {
    const const_buffer h = noise(rng, rng.size(limits::header));
    headers[i].assign(h.begin(), h.end());
    sends.add(w.peer.send(headers[i], noise().first(rng.size(50000)), {.lane = 1}));
  }
  std::vector<message> kept;
  for (std::size_t i = 0; i < count; ++i) kept.push_back(box.take());
  for (int i = 0; i < 300; ++i) {
    auto o = w.peer.send(head.bytes(), noise().first(rng.size(30000)), {.lane = 2});
    box.take() = {};
    must(o);
  }
  for (std::size_t i = 0; i < count; ++i) REQUIRE(same(headers[i], kept[i].header()));
  CHECK_FALSE(sends.ready());
  std::shuffle(kept.begin(), kept.end(), rng.engine());
  kept.clear();
  CHECK(sends.complete(patience).has_value());
}

TEST_CASE("a rejected message ends with the receiver's error", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  static const foreign_category foreign;
  mailbox box;
  std::array<std::byte, 100> answer{};
  world w(mode);
  box.serve(**w.server);
  w.connect();
  const auto reject_with = [&](std::error_code why, bool wants_reply) {
    op_options o;
    if (wants_reply) o.reply = answer;
    auto sent = w.peer.send(head.bytes(), noise().first(40000), o);
    message m = box.take();
    std::thread([&] { m.reject(why); }).join();
    return error_of(sent);
  };
  for (const bool wants_reply : {false, true}) {
    INFO("with reply: " << wants_reply);
    CHECK(reject_with(std::make_error_code(std::errc::no_space_on_device), wants_reply) ==
          std::errc::no_space_on_device);
    CHECK(reject_with({ENOENT, std::system_category()}, wants_reply) == std::errc::no_such_file_or_directory);
    CHECK(reject_with(errc::access_denied, wants_reply) == errc::access_denied);
    CHECK(reject_with({5, foreign}, wants_reply) == errc::rejected);
  }
}

TEST_CASE("replies: header and payload, every size, truncated when they do not fit", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  mailbox box;
  world w(mode);
  box.serve(**w.server);
  w.connect();
  random_source rng("truncated");
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 20; n > 0; --n) {
    const std::size_t h = rng.size(1000), p = rng.size(1 << 20), all = h + p;
    const std::size_t room = rng.one_in(2) ? all : rng.below(all + 1000);
    guarded into(room);
    std::vector<std::byte> flat;
    const const_buffer header = noise(rng, h), payload = noise(rng, p);
    flat.insert(flat.end(), header.begin(), header.end());
    flat.insert(flat.end(), payload.begin(), payload.end());
    const auto pieces = shuffled_pieces(rng, into.span(), 20);
    // An empty buffer cannot be told from "no reply wanted".
    if (room == 0) continue;
    INFO("header " << h << ", payload " << p << ", room " << room);
    auto o = w.peer.send(head.bytes(), {}, {.reply = pieces});
    message m = box.take();
    auto answer = m.reply(header, payload);
    REQUIRE_FALSE(m.valid());
    (void)outcome(answer);
    const auto r = outcome(o);
    if (room >= all) {
      REQUIRE(r.has_value());
      REQUIRE(r->bytes == all);
      std::vector<std::byte> got;
      for (const auto& x : pieces) got.insert(got.end(), x.begin(), x.end());
      got.resize(all);
      REQUIRE(same(flat, got));
    } else {
      REQUIRE(r.has_error());
      REQUIRE(r.error() == errc::truncated);
      REQUIRE(same(pieces, const_buffer(flat).first(room)));
    }
  }
}

TEST_CASE("a sender is not told of bytes that its receiver did not get", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  mailbox box;
  world w(mode);
  box.serve(**w.server);
  w.connect();
  const std::size_t size = GENERATE(std::size_t{5000}, std::size_t{9000}, std::size_t{4 << 20});
  INFO(size << " bytes");
  guarded source(size), sink(size);
  {
    // Its fetch is given up, which the receiver may not even notice.
    const tag head{1, 1};
    auto sent = w.peer.send(head.bytes(), source.span());
    message m = box.take();
    auto fetch = m.receive(sink.span());
    fetch.cancel();
    const std::error_code e = error_of(fetch);
    m = {};
    CHECK(error_of(sent) == e);
    CHECK((e || must(sent).bytes == size));
  }
  {
    // The message goes before its payload is here.
    const tag head{1, 2};
    auto sent = w.peer.send(head.bytes(), source.span());
    message m = box.take();
    auto fetch = m.receive(sink.span());
    const bool here = fetch.ready();
    m = {};
    const std::error_code e = error_of(sent);
    if (here)
      CHECK_FALSE(e);
    else
      CHECK((!e || e == errc::dropped));
    if (!e) CHECK(must(fetch).bytes == size);
  }
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
}

TEST_CASE("what a holder says of a message stands, whatever becomes of its payload meanwhile", "[messages]") {
  INFO("seed " << process_seed());
  mailbox box;
  world w;
  box.serve(**w.server);
  w.connect();
  random_source rng("verdict");
  guarded source(300000), sink(source.size());
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 20; n > 0; --n) {
    const bool rejects = rng.one_in(2);
    std::array<std::byte, 100> answer;
    const tag head{1, n};
    auto sent = rejects ? w.peer.send(head.bytes(), source.span())
                        : w.peer.send(head.bytes(), source.span(), {.reply = answer});
    message m = box.take();
    auto fetch = m.receive(sink.span());
    const auto end = clock::now() + std::chrono::microseconds(rng.below(200));
    while (clock::now() < end) {
    }
    if (rejects)
      m.reject(make_error_code(errc::access_denied));
    else
      m = {};
    REQUIRE(error_of(sent) == (rejects ? errc::access_denied : errc::dropped));
    (void)outcome(fetch);
  }
}

TEST_CASE("waiting for a payload in a handler is refused, however small it is", "[messages]") {
  findings wrong;
  std::vector<std::byte> into(1 << 20);
  counter seen;
  world w(progress::threads);
  (*w.server)->on_message([&](message m) {
    if (m.payload_size() == 0) return;
    auto fetch = m.receive(into);
    wrong.check(fetch.complete().error() == errc::would_deadlock, "complete() in a handler was not refused");
    std::move(fetch).then([keep = std::make_shared<message>(std::move(m)), &seen](result<done>) { seen.add(); });
  });
  w.connect();
  for (const std::size_t size : {std::size_t{1}, std::size_t{8192}, std::size_t{8193}, into.size()}) {
    const tag head{1, size};
    auto sent = w.peer.send(head.bytes(), noise().first(size));
    CHECK(must(sent).bytes == size);
  }
  CHECK(seen.reaches(4));
  wrong.require_none();
}

TEST_CASE("a receive that is given up leaves its memory alone", "[messages]") {
  INFO("seed " << process_seed());
  mailbox box;
  counter down;
  world w;
  box.serve(**w.server);
  (*w.server)->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) down.add();
  });
  w.connect();
  random_source rng("given up");
  std::vector<guarded> graves;
  guarded source(1 << 20);
  source.fill(std::byte{3});
  for (std::size_t n = std::min<std::size_t>(repeats("KFX_TEST_OPS", 10000) / 50, 200); n > 0; --n) {
    auto o = w.peer.send(head.bytes(), source.part(0, rng.size(1 << 20)));
    message m = box.take();
    guarded& into = graves.emplace_back(m.payload_size());
    {
      auto r = m.receive(into.span());
      const auto end = clock::now() + std::chrono::nanoseconds(rng.size(500000));
      while (clock::now() < end) std::this_thread::yield();
      if (rng.one_in(2)) {
        r.cancel();
        (void)outcome(r);
      }
    }
    into.forbid();
    m = {};
    (void)outcome(o);
  }
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
  if (!under_test().cuts()) CHECK(down.value() == 0);
}

TEST_CASE("a sender that gives up while its payload is fetched", "[messages]") {
  INFO("seed " << process_seed());
  mailbox box;
  world w;
  box.serve(**w.server);
  w.connect();
  random_source rng("sender gives up");
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 50; n > 0; --n) {
    guarded source(rng.size(1 << 20));
    source.fill(std::byte{3});
    std::vector<std::byte> into(source.size());
    message m;
    op<done> r;
    {
      auto o = w.peer.send(head.bytes(), source.span());
      m = box.take();
      r = m.receive(into);
      const auto end = clock::now() + std::chrono::nanoseconds(rng.size(500000));
      while (clock::now() < end) std::this_thread::yield();
    }
    source.fill(poison);
    (void)outcome(r);
    REQUIRE(std::find(into.begin(), into.end(), poison) == into.end());
  }
}

TEST_CASE("a message is not acknowledged while its handler runs, whatever goes back meanwhile", "[messages]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  peer back;
  counter introduced, calls;
  std::atomic<bool> inside{false}, over{false};
  findings problems;
  world w(mode);
  (*w.server)->on_message([&](message m) {
    if (m.payload_size() == 0) {
      back = m.from();
      return introduced.add();
    }
    inside = true;
    problems.check(calls.reaches(calls.value() + 3), "nothing goes back while a handler runs");
    inside = false;
  });
  (*w.client)->on_message([](message m) { m.reply(m.header()); });
  w.connect();
  must(w.peer.send(head.bytes()));
  REQUIRE(introduced.reaches(1));
  // It moves the frames itself while the server's own thread is in the handler, and they carry acks.
  std::thread caller([&] {
    std::array<std::byte, 16> into{};
    while (!over) {
      problems.check(!back.send(head.bytes(), {}, {.reply = into}).complete(patience).has_error(), "a call failed");
      calls.add();
    }
  });
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 50; n > 0; --n) {
    auto o = w.peer.send(head.bytes(), noise().first(8));
    const bool ended = o.complete(patience).has_value();
    problems.check(ended && !inside, "a message was acknowledged too early");
  }
  over = true;
  caller.join();
  problems.require_none();
}

TEST_CASE("messages outlive their node harmlessly", "[messages]") {
  mailbox box;
  std::vector<message> kept;
  std::array<std::byte, 16> into{};
  {
    world w;
    box.serve(**w.server);
    w.connect();
    auto a = w.peer.send(head.bytes());
    auto b = w.peer.send(head.bytes(), noise().first(100000));
    auto c = w.peer.send(head.bytes(), {}, {.reply = into});
    for (int i = 0; i < 3; ++i) kept.push_back(box.take());
    w.server->destroy();
    CHECK(same(head.bytes(), kept[0].header()));
    kept[0] = {};
    CHECK(error_of(kept[1].receive(into)));
    kept[2].reply(head.bytes());
    w.client->destroy();
    CHECK(error_of(a));
    CHECK(error_of(b));
    CHECK(error_of(c));
  }
  kept.clear();
}

}  // namespace kfx::test
