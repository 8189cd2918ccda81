// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Completion tokens of Asio: futures, awaitables, callbacks, executors, allocators, cancellation slots.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "suite.hpp"

namespace kfx::test {
namespace {

namespace asio = boost::asio;
using boost_error = boost::system::error_code;

const tag keep_it{1, 0};
const tag answer_it{2, 0};

/// Keeps messages of kind 1, answers the others.
struct service {
  std::mutex m;
  std::vector<message> kept;
  counter seen;
  void serve(node& n) {
    n.on_message([this](message msg) {
      if (tag::of(msg).what == 1) {
        std::lock_guard lock(m);
        kept.push_back(std::move(msg));
      } else if (msg.wants_reply()) {
        msg.reply(msg.header());
      }
      seen.add();
    });
  }
};

/// Counts what it lends.
template <class T>
struct counting_allocator {
  using value_type = T;
  std::atomic<int>* live;
  std::atomic<int>* total;
  counting_allocator(std::atomic<int>& l, std::atomic<int>& t) : live(&l), total(&t) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& o) : live(o.live), total(o.total) {}
  T* allocate(std::size_t n) {
    ++*live;
    ++*total;
    return static_cast<T*>(::operator new(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t) {
    --*live;
    ::operator delete(p);
  }
  template <class U>
  bool operator==(const counting_allocator<U>& o) const {
    return live == o.live;
  }
};

asio::awaitable<void> visit(world& w, findings& wrong, std::thread::id& resumed_on) {
  const const_buffer bytes = noise().first(100000);
  const done d = co_await w.peer.write(bytes, w.remote.at(0, bytes.size()), {}, asio::use_awaitable);
  wrong.check(d.bytes == bytes.size(), "the awaited write wrote less");
  resumed_on = std::this_thread::get_id();
  std::array<std::byte, 64> answer{};
  co_await w.peer.send(answer_it.bytes(), {}, {.reply = answer}, asio::use_awaitable);
  boost_error e;
  co_await w.peer.open("nothing", {}, asio::redirect_error(asio::use_awaitable, e));
  wrong.check(std::error_code(e) == errc::not_found, "the awaited open found something");
  try {
    co_await w.peer.open("nothing", {}, asio::use_awaitable);
    wrong.add("a failed awaitable did not throw");
  } catch (const boost::system::system_error& x) {
    wrong.check(std::error_code(x.code()) == errc::not_found, "a failed awaitable threw something else");
  }
  // Without a token: the op itself, and its result.
  const result<done> r = co_await w.peer.write(bytes, w.remote.at(0, bytes.size()));
  wrong.check(r.has_value() && r->bytes == bytes.size(), "the awaited op wrote less");
  op<remote_region> nothing = w.peer.open("nothing");
  wrong.check((co_await std::move(nothing)).error() == errc::not_found, "the awaited op found something");
  wrong.check(std::this_thread::get_id() == resumed_on, "an awaited op resumed elsewhere");
}

asio::awaitable<void> write_once(world& w) {
  const result<done> r = co_await w.peer.write(noise().first(8), w.remote.at(0, 8));
  (void)r;
}

/// Emits as often as it can while the writes run, on their own executor, so that some of it meets their end.
asio::awaitable<void> cancel_writes(world& w, std::size_t count) {
  const auto ex = co_await asio::this_coro::executor;
  for (std::size_t n = 0; n < count; ++n) {
    asio::cancellation_signal stop;
    bool over = false;
    asio::co_spawn(ex, write_once(w),
                   asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { over = true; }));
    for (std::size_t k = n % 40; k > 0 && !over; --k) co_await asio::post(ex, asio::use_awaitable);
    while (!over) {
      stop.emit(asio::cancellation_type::all);
      co_await asio::post(ex, asio::use_awaitable);
    }
  }
}

}  // namespace

TEST_CASE("use_future", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  service s;
  world w(mode);
  s.serve(**w.server);
  w.connect();
  auto write = w.peer.write(noise().first(5000), w.remote.at(0, 5000), {}, asio::use_future);
  REQUIRE(write.wait_for(patience) == std::future_status::ready);
  CHECK(write.get().bytes == 5000);
  auto token = w.peer.open("memory", {}, asio::use_future);
  REQUIRE(token.wait_for(patience) == std::future_status::ready);
  CHECK((token.get() == w.remote));
  auto bad = w.peer.open("nothing", {}, asio::use_future);
  REQUIRE(bad.wait_for(patience) == std::future_status::ready);
  try {
    bad.get();
    FAIL("a failed future holds a value");
  } catch (const boost::system::system_error& e) {
    CHECK(std::error_code(e.code()) == errc::not_found);
  }
}

TEST_CASE("use_awaitable resumes on its own executor", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  findings wrong;
  service s;
  std::thread::id resumed_on;
  counter through;
  world w(mode);
  s.serve(**w.server);
  w.connect();
  asio::io_context io;
  asio::co_spawn(io, visit(w, wrong, resumed_on), [&](std::exception_ptr e) {
    wrong.check(!e, "the coroutine ended with an exception");
    through.add();
  });
  io.run();
  CHECK(through.value() == 1);
  CHECK(resumed_on == std::this_thread::get_id());
  wrong.require_none();
}

TEST_CASE("coroutines are cancelled while their ops end", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  world w(mode);
  w.connect();
  asio::io_context io;
  asio::co_spawn(io, cancel_writes(w, repeats("KFX_TEST_OPS", 10000) / 10), asio::detached);
  io.run_for(patience);
  CHECK(io.stopped());
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
}

TEST_CASE("callbacks come once, and never inside the call that started the op", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const std::size_t total = repeats("KFX_TEST_OPS", 10000) / 4;
  std::vector<std::atomic<int>> called(total);
  counter through;
  findings wrong;
  world w(mode);
  w.connect();
  thread_local bool inside = false;
  for (std::size_t i = 0; i < total; ++i) {
    inside = true;
    w.peer.write(noise().first(i % 3000), w.remote.at(0, 3000), {.lane = static_cast<lane>(i % 5)},
                 [&, i](boost_error e, done d) {
                   wrong.check(!inside, "a callback ran inside the call");
                   wrong.check(!e && d.bytes == i % 3000, "a callback got another result");
                   if (called[i]++) wrong.add("a callback came twice");
                   through.add();
                 });
    inside = false;
  }
  CHECK(through.reaches(total));
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
  CHECK(through.value() == total);
  wrong.require_none();
}

TEST_CASE("a bound executor runs callbacks and handlers", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  asio::thread_pool pool(2);
  findings wrong;
  counter through;
  const auto here = [&](const char* what) {
    wrong.check(pool.get_executor().running_in_this_thread(), what);
    through.add();
  };
  {
    world w(mode);
    (*w.server)->on_message(asio::bind_executor(pool, [&](message m) {
      here("on_message ran elsewhere");
      if (m.wants_reply()) m.reply(m.header());
    }));
    (*w.server)->on_notify(
        asio::bind_executor(pool, [&](const notification&, const kfx::peer&) { here("on_notify ran elsewhere"); }));
    (*w.client)->on_peer(
        asio::bind_executor(pool, [&](const kfx::peer&, peer_event) { here("on_peer ran elsewhere"); }));
    w.connect();
    std::array<std::byte, 64> answer{};
    must(w.peer.send(answer_it.bytes(), {}, {.reply = answer}));
    must(w.peer.write(noise().first(8), w.remote.at(0, 8), {.notify = 5}));
    w.peer.write(noise().first(8), w.remote.at(0, 8), {},
                 asio::bind_executor(pool, [&](boost_error, done) { here("a callback ran elsewhere"); }));
    CHECK(through.reaches(4));
  }
  pool.join();
  wrong.require_none();
}

TEST_CASE("a blocked io_context waits for the op it was given", "[tokens]") {
  world w;
  w.connect();
  asio::io_context io;
  int called = 0;
  for (int i = 0; i < 100; ++i)
    w.peer.write(noise().first(1000), w.remote.at(0, 1000), {},
                 asio::bind_executor(io, [&](boost_error e, done) { called += e ? 1000 : 1; }));
  // The ops are outstanding work of their executor: run() returns when all have ended.
  io.run();
  CHECK(called == 100);
}

TEST_CASE("cancellation slots", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  service s;
  world w(mode);
  s.serve(**w.server);
  w.connect();
  asio::io_context io;
  asio::cancellation_signal signal;
  std::error_code got;
  int called = 0;
  w.peer.send(keep_it.bytes(), {}, {},
              asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(io, [&](boost_error e, done) {
                                             got = e;
                                             ++called;
                                           })));
  REQUIRE(s.seen.reaches(1));
  CHECK(called == 0);
  signal.emit(asio::cancellation_type::terminal);
  io.run();
  CHECK(called == 1);
  CHECK(got == errc::cancelled);
  signal.emit(asio::cancellation_type::terminal);  // nothing there any more
  must(w.peer.send(answer_it.bytes()));
}

TEST_CASE("an associated allocator is used and gets everything back", "[tokens]") {
  std::atomic<int> live{0}, total{0};
  counter through;
  {
    world w;
    w.connect();
    for (int i = 0; i < 100; ++i)
      w.peer.write(
          noise().first(100), w.remote.at(0, 100), {},
          asio::bind_allocator(counting_allocator<void*>(live, total), [&](boost_error, done) { through.add(); }));
    REQUIRE(through.reaches(100));
  }
  CHECK(total >= 100);
  CHECK(live == 0);
}

TEST_CASE("move-only callbacks", "[tokens]") {
  counter through;
  world w;
  w.connect();
  auto value = std::make_unique<int>(5);
  w.peer.write(noise().first(100), w.remote.at(0, 100), {},
               [&, v = std::move(value)](boost_error, done) { through.add(static_cast<std::uint64_t>(*v)); });
  CHECK(through.reaches(5));
}

TEST_CASE("receive and reply take tokens as well", "[tokens]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  asio::thread_pool pool(1);
  findings wrong;
  counter replied;
  {
    world w(mode);
    std::vector<std::byte> store(100000), back(100000 + sizeof(tag));
    (*w.server)->on_message([&](message m) {
      auto kept = std::make_shared<message>(std::move(m));
      kept->receive(store, asio::bind_executor(pool, [&, kept](boost_error e, done d) {
                      wrong.check(!e && d.bytes == store.size(), "the receive failed");
                      kept->reply(answer_it.bytes(), store, [&](boost_error e2, done) {
                        wrong.check(!e2, "the reply failed");
                        replied.add();
                      });
                    }));
    });
    w.connect();
    const const_buffer bytes = noise().first(store.size());
    CHECK(must(w.peer.send(answer_it.bytes(), bytes, {.reply = back})).bytes == back.size());
    CHECK(same(bytes, const_buffer(back).subspan(sizeof(tag))));
    CHECK(replied.reaches(1));
  }
  pool.join();
  wrong.require_none();
}

}  // namespace kfx::test
