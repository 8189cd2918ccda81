// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How one learns that an op is done: `complete`, `then`, batches, coroutines.

#include <algorithm>
#include <coroutine>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// A coroutine type of somebody's own, as small as it can be: starts at once, says when it is through.
struct errand {
  struct promise_type {
    errand get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

errand write_then_read(world& w, mutable_buffer into, findings& wrong, counter& through) {
  const const_buffer bytes = noise().first(into.size());
  auto write = w.peer.write(bytes, w.remote.at(0, bytes.size()));
  const result<done> written = co_await write;
  wrong.check(written.has_value() && written->bytes == bytes.size(), "the awaited write failed");
  const result<done> read = co_await w.peer.read(into, w.remote.at(0, into.size()));
  wrong.check(read.has_value() && read->bytes == into.size(), "the awaited read failed");
  wrong.check(same(bytes, into), "the awaited read brought other bytes");
  const result<remote_region> token = co_await w.peer.open("memory");
  wrong.check(token.has_value() && *token == w.remote, "the awaited open brought another token");
  const result<remote_region> none = co_await w.peer.open("no such thing");
  wrong.check(none.has_error() && none.error() == errc::not_found, "the awaited open found what is not there");
  through.add();
}

errand await_batch(world& w, findings& wrong, counter& through) {
  batch all;
  for (std::size_t i = 0; i < 64; ++i) all.add(w.peer.write(noise().subspan(i * 100, 100), w.remote.at(i * 100, 100)));
  const result<done> r = co_await all;
  wrong.check(r.has_value() && r->bytes == 6400, "the awaited batch failed");
  batch none;
  wrong.check((co_await none).has_value(), "an empty batch failed");
  through.add();
}

/// A server that keeps messages of kind 1 until the gate opens and drops others at once.
struct keeper {
  std::mutex m;
  std::vector<message> kept;
  counter seen;

  void serve(node& n) {
    n.on_message([this](message msg) {
      if (tag::of(msg).what == 1) {
        std::lock_guard lock(m);
        kept.push_back(std::move(msg));
      }
      seen.add();
    });
  }
  void release() {
    std::vector<message> now;
    std::lock_guard lock(m);
    now.swap(kept);
  }
};

const tag keep_it{1, 0};
const tag drop_it{2, 0};

}  // namespace

TEST_CASE("co_await in a coroutine type of one's own", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  findings wrong;
  counter through;
  std::vector<std::byte> into(500000);
  world w(mode);
  w.connect();
  write_then_read(w, into, wrong, through);
  REQUIRE(through.reaches(1));
  await_batch(w, wrong, through);
  REQUIRE(through.reaches(2));
  wrong.require_none();
}

TEST_CASE("complete with a limit leaves the op running", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  keeper k;
  world w(mode);
  k.serve(**w.server);
  w.connect();
  auto o = w.peer.send(keep_it.bytes());
  REQUIRE(k.seen.reaches(1));
  CHECK(o.complete(5ms).error() == errc::timed_out);
  CHECK_FALSE(o.ready());
  CHECK(o.result().error() == std::errc::operation_in_progress);
  CHECK(o.complete(0ms).error() == errc::timed_out);
  CHECK_FALSE(o.ready());
  k.release();
  must(o);
  CHECK(o.ready());
  CHECK(o.result().has_value());
  CHECK(o.complete().has_value());
  CHECK_FALSE(o.explain().empty());
}

TEST_CASE("then runs once, with the result, also when it was done before", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter ran;
  findings wrong;
  world w(mode);
  w.connect();
  for (int i = 0; i < 200; ++i) {
    auto o = w.peer.write(noise().first(1000), w.remote.at(0, 1000));
    if (i % 2) must(o);
    std::move(o).then([&](result<done> r) {
      wrong.check(r.has_value() && r->bytes == 1000, "then got another result");
      ran.add();
    });
    CHECK_FALSE(o.valid());
  }
  std::move(w.peer.open("nothing")).then([&](result<remote_region> r) {
    wrong.check(r.has_error() && r.error() == errc::not_found, "then got another error");
    ran.add();
  });
  REQUIRE(ran.reaches(201));
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
  CHECK(ran.value() == 201);
  wrong.require_none();
}

TEST_CASE("then may start the next op", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  counter ran;
  findings wrong;
  world w(mode);
  w.connect();
  std::function<void(int)> step = [&](int left) {
    if (left == 0) return ran.add();
    w.peer.write(noise().first(300), w.remote.at(0, 300)).then([&, left](result<done> r) {
      wrong.check(r.has_value(), "an op of the chain failed");
      step(left - 1);
    });
  };
  step(300);
  REQUIRE(ran.reaches(1));
  wrong.require_none();
}

TEST_CASE("cancel, detach and move of a handle", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  keeper k;
  world w(mode);
  k.serve(**w.server);
  w.connect();
  auto cancelled = w.peer.send(keep_it.bytes());
  REQUIRE(k.seen.reaches(1));
  std::thread other([&] { cancelled.cancel(); });
  CHECK(error_of(cancelled) == errc::cancelled);
  other.join();
  cancelled.cancel();
  CHECK(cancelled.result().error() == errc::cancelled);

  w.peer.send(drop_it.bytes()).detach();
  REQUIRE(k.seen.reaches(2));

  auto a = w.peer.send(keep_it.bytes());
  const op_id id = a.id();
  auto b = std::move(a);
  CHECK_FALSE(a.valid());
  CHECK(b.id() == id);
  REQUIRE(k.seen.reaches(3));
  b = w.peer.send(drop_it.bytes());  // ends the one it held
  CHECK(b.id() != id);
  must(b);
  { auto gone = w.peer.send(keep_it.bytes()); }
  must(w.peer.send(drop_it.bytes()));
}

TEST_CASE("batch: one result, every entry's own, reused", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  keeper k;
  world w(mode);
  k.serve(**w.server);
  w.connect();
  batch b;
  CHECK(b.ready());
  CHECK(b.complete().has_value());
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < 50; ++i) b.add(w.peer.write(noise().first(i), w.remote.at(i * 100, 100)));
    const auto r = b.complete();
    REQUIRE(r.has_value());
    REQUIRE(r->bytes == 49 * 50 / 2);
    for (std::size_t i = 0; i < 50; ++i) REQUIRE(b[i]->bytes == i);
    b.clear();
    REQUIRE(b.size() == 0);
  }
  b.add(w.peer.write(noise().first(10), w.remote.at(0, 10)));
  b.add(w.peer.open("nothing"));
  b.add(w.peer.write(noise().first(10), w.remote.at(0, 9)));
  b.add(w.peer.write(noise().first(10), w.remote.at(0, 10)));
  CHECK(b.complete().error() == errc::not_found);
  CHECK(b[0].has_value());
  CHECK(b[1].error() == errc::not_found);
  CHECK(b[2].error() == errc::out_of_bounds);
  CHECK(b[3].has_value());
  CHECK(b.explain(2).find("write") != std::string::npos);
  b.clear();

  b.add(w.peer.send(keep_it.bytes()));
  b.add(w.peer.send(drop_it.bytes()));
  REQUIRE(k.seen.reaches(2));
  CHECK(b.complete(5ms).error() == errc::timed_out);
  CHECK_FALSE(b.ready());
  b.cancel();
  CHECK(b.complete().has_error());
  CHECK(b.ready());
  CHECK(b[0].error() == errc::cancelled);
}

TEST_CASE("a batch that goes away cancels what runs", "[completion]") {
  keeper k;
  world w;
  k.serve(**w.server);
  w.connect();
  {
    batch b;
    for (int i = 0; i < 100; ++i) b.add(w.peer.send(keep_it.bytes(), {}, {.lane = static_cast<lane>(i)}));
    batch moved = std::move(b);
    CHECK(moved.size() == 100);
    REQUIRE(k.seen.reaches(1));
  }
  must(w.peer.send(drop_it.bytes()));
}

TEST_CASE("a deadline ends an op that does not end", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  keeper k;
  world w(mode);
  k.serve(**w.server);
  w.connect();
  const auto begin = clock::now();
  auto o = w.peer.send(keep_it.bytes(), {}, {.deadline = 30ms});
  CHECK(error_of(o) == errc::timed_out);
  CHECK(clock::now() - begin >= 30ms);
  // One that has passed already has an effect or none, and one result.
  auto late = w.peer.send(keep_it.bytes(), {}, {.deadline = clock::now() - 1s});
  CHECK(error_of(late) == errc::timed_out);
  must(w.peer.send(drop_it.bytes(), {}, {.deadline = 30s}));
}

TEST_CASE("waiting in a handler is refused and the op goes on", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  std::mutex m;
  std::vector<op<done>> left;
  std::vector<batch> left_batches;
  counter through;
  findings wrong;
  world w(mode);
  const auto try_to_wait = [&](const kfx::peer& p) {
    auto o = p.send(drop_it.bytes(), {}, {.lane = 7});
    wrong.check(o.complete().error() == errc::would_deadlock, "complete() in a handler was not refused");
    wrong.check(o.complete(1h).error() == errc::would_deadlock, "a bounded wait was not refused");
    batch b;
    b.add(std::move(o));
    wrong.check(b.complete().error() == errc::would_deadlock, "a batch's wait was not refused");
    auto next = p.send(drop_it.bytes(), {}, {.lane = 7});
    (void)next.complete();
    std::lock_guard lock(m);
    left.push_back(std::move(next));
    left_batches.push_back(std::move(b));
    through.add();
  };
  (*w.client)->on_message([](message) {});
  (*w.server)->on_message([&](message msg) {
    if (tag::of(msg).what == 1) try_to_wait(msg.from());
  });
  (*w.server)->on_notify([&](const notification&, const kfx::peer& p) { try_to_wait(p); });
  w.connect();
  // The client keeps an op under way, so that it is there when the server sends to it.
  must(w.peer.send(keep_it.bytes()));
  must(w.peer.write(noise().first(8), w.remote.at(0, 8), {.notify = 1}));
  REQUIRE(through.reaches(2));
  w.peer.write(noise().first(8), w.remote.at(0, 8)).then([&](result<done>) {
    auto o = w.peer.send(drop_it.bytes());
    wrong.check(o.complete().error() == errc::would_deadlock, "complete() in then was not refused");
    std::lock_guard lock(m);
    left.push_back(std::move(o));
    through.add();
  });
  REQUIRE(through.reaches(3));
  std::lock_guard lock(m);
  for (auto& o : left) must(o);
  for (auto& b : left_batches) CHECK(b.complete(patience).has_value());
  wrong.require_none();
}

}  // namespace kfx::test
