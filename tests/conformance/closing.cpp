// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What a program ends itself: a session, or an op whose handle it gave away.

#include "suite.hpp"

namespace kfx::test {
namespace {

/// Keeps messages unanswered, so that their senders' ops stay under way.
struct hoarder {
  std::mutex m;
  std::vector<message> kept;
  counter seen;

  void serve(node& n) {
    n.on_message([this](message msg) {
      {
        std::lock_guard lock(m);
        kept.push_back(std::move(msg));
      }
      seen.add();
    });
  }
  kfx::peer sender() {
    std::lock_guard lock(m);
    return kept.at(0).from();
  }
  void let_go() {
    std::lock_guard lock(m);
    kept.clear();
  }
};

/// What an op whose handle was given away ended with.
struct ending {
  counter over;
  std::error_code error;  ///< once it is over
  template <class T>
  void of(op<T>&& o) {
    std::move(o).then([this](const result<done>& r) {
      if (!r) error = r.error();
      over.add();
    });
  }
};

}  // namespace

TEST_CASE("a session that is closed ends the ops of both sides, and the next verb begins another", "[connect]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  const bool by_server = GENERATE(false, true);
  hoarder server, client;
  world w(mode);
  server.serve(**w.server);
  client.serve(**w.client);
  w.connect();
  guarded offered(4096);
  op<done> ours = w.peer.send(head.bytes(), {}, {});
  REQUIRE(server.seen.reaches(1));
  const kfx::peer back = server.sender();
  op<done> theirs = back.send(head.bytes());
  offer lent = w.peer.offer(offered.span(), access::write);
  REQUIRE(client.seen.reaches(1));

  (by_server ? back : w.peer).close(std::make_error_code(std::errc::protocol_error));
  const std::error_code here = error_of(by_server ? theirs : ours), there = error_of(by_server ? ours : theirs);
  CHECK(here == std::errc::protocol_error);
  // Unless the connection was lost at that moment, and nobody has anything to connect for.
  CHECK((there == errc::session_lost || (under_test().cuts() && there == errc::timed_out)));
  CHECK(error_of(lent));
  offered.forbid();  // nobody writes to it any more

  server.let_go();  // answered in vain
  client.let_go();
  (*w.server)->on_message([](message) {});
  must(w.peer.send(head.bytes()));
  must(w.peer.write(head.bytes(), w.remote.at(0, head.bytes().size())));
}

TEST_CASE("closing what was never connected, and closing twice, does nothing", "[connect]") {
  world w;
  (*w.server)->on_message([](message) {});
  const kfx::peer p = (*w.client)->at(uri_of(**w.server));
  p.close();
  p.close();
  must(p.send(head.bytes()));
  p.close();
  p.close();
  must(p.send(head.bytes()));
}

TEST_CASE("sessions closed by both sides under traffic lose no op", "[connect]") {
  INFO("seed " << process_seed());
  world w;
  findings wrong;
  (*w.server)->on_message([&](message m) {
    if (m.payload_size() % 7 == 3) m.from().close();  // in a handler
  });
  w.connect();
  random_source rng("closing");
  const std::vector<std::byte> bytes(20000);
  std::vector<std::unique_ptr<ending>> all;
  const std::size_t n = repeats("KFX_TEST_OPS", 10000) / 5;
  for (std::size_t i = 0; i < n; ++i) {
    const const_buffer payload = std::span(bytes).first(rng.below(bytes.size()));
    all.push_back(std::make_unique<ending>());
    all.back()->of(w.peer.send(head.bytes(), payload));
    if (rng.one_in(50)) w.peer.close();
    if (i >= 64) REQUIRE(all[i - 64]->over.reaches(1));
  }
  for (const auto& e : all) {
    REQUIRE(e->over.reaches(1));
    INFO(e->error.message());
    CHECK((!e->error || e->error == errc::cancelled || e->error == errc::session_lost || e->error == errc::dropped));
  }
  (*w.server)->on_message([](message) {});
  must(w.peer.send(head.bytes()));
}

TEST_CASE("an op is cancelled by its id after its handle was given away", "[completion]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  hoarder server;
  world w(mode);
  server.serve(**w.server);
  w.connect();
  guarded memory(4096);
  ending sent, offered;
  op<done> s = w.peer.send(head.bytes());
  const op_id send_id = s.id();
  sent.of(std::move(s));
  offer o = w.peer.offer(memory.span(), access::write);
  const op_id offer_id = o.id();
  offered.of(std::move(o));
  REQUIRE(server.seen.reaches(1));
  CHECK(sent.over.value() == 0);

  w.peer.cancel(offer_id);
  REQUIRE(offered.over.reaches(1));
  CHECK(offered.error == errc::revoked);
  memory.forbid();
  w.peer.cancel(send_id);
  REQUIRE(sent.over.reaches(1));
  CHECK(sent.error == errc::cancelled);
  // They are over: these ids name nothing, and what comes after is left alone.
  op<done> next = w.peer.send(head.bytes());
  w.peer.cancel(send_id);
  w.peer.cancel(offer_id);
  w.peer.cancel(0);
  REQUIRE(server.seen.reaches(2));
  server.let_go();
  must(next);
}

TEST_CASE("a peer carries a word of the program's", "[handlers]") {
  counter seen;
  std::atomic<std::uint64_t> found{0};
  world w;
  (*w.server)->on_message([&](message m) {
    const kfx::peer from = m.from();
    if (const std::uint64_t t = from.tag(); t != 0) found = t;
    from.set_tag(42);
    seen.add();
  });
  w.connect();
  CHECK(w.peer.tag() == 0);
  w.peer.set_tag(7);
  CHECK(kfx::peer(w.peer).tag() == 7);
  must(w.peer.send(head.bytes()));
  must(w.peer.send(head.bytes()));
  REQUIRE(seen.reaches(2));
  CHECK(found == 42);
}

}  // namespace kfx::test
