// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Offers: memory for one peer and one transfer.

#include <algorithm>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// The server side of most offer tests: keeps who offered and the token, for the test to use.
struct taker {
  std::mutex m;
  kfx::peer who;
  remote_region token;
  counter seen;

  void serve(node& n) {
    n.on_message([this](message msg) {
      const auto t = remote_region::decode(msg.header());
      std::lock_guard lock(m);
      who = msg.from();
      if (t) token = *t;
      seen.add();
    });
  }
  /// Offers `memory` and lets the server know.
  offer hand_over(world& w, mutable_buffer memory, access rights) {
    offer o = w.peer.offer(memory, rights);
    const auto header = o.token().encode();
    must(w.peer.send(header));
    return o;
  }
};

bool one_of(std::error_code e, std::initializer_list<errc> list) {
  return std::any_of(list.begin(), list.end(), [&](errc x) { return e == x; });
}

}  // namespace

TEST_CASE("an offer is written and read once, with the actual length", "[offers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  taker t;
  world w(mode);
  t.serve(**w.server);
  w.connect();
  random_source rng("offers");
  for (std::size_t n = repeats("KFX_TEST_OPS", 10000) / 20; n > 0; --n) {
    const std::size_t room = rng.size(1 << 20) + 1, used = rng.below(room + 1);
    guarded memory(room);
    const bool write = rng.one_in(2);
    if (!write) {
      const const_buffer bytes = noise(rng, room);
      std::copy(bytes.begin(), bytes.end(), memory.data());
    }
    offer o = t.hand_over(w, memory.span(), write ? access::write : access::read);
    REQUIRE(t.token.single_use());
    REQUIRE(t.token.length() == room);
    if (write) {
      const auto pieces = noise_pieces(rng, used, 60);
      must(t.who.write(pieces, t.token));
      REQUIRE(must(o).bytes == used);
      REQUIRE(same(pieces, memory.part(0, used)));
    } else {
      std::vector<std::byte> copy(used);
      must(t.who.read(copy, t.token.at(0, used)));
      REQUIRE(must(o).bytes == used);
      REQUIRE(same(copy, memory.part(0, used)));
    }
  }
}

TEST_CASE("an offer is used in pieces", "[offers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  taker t;
  world w(mode);
  t.serve(**w.server);
  w.connect();
  random_source rng("pieces");
  for (int n = 0; n < 50; ++n) {
    const std::size_t piece = rng.size(100000) + 1, count = rng.between(1, 10);
    guarded memory(piece * count);
    memory.fill(std::byte{0});
    offer o = t.hand_over(w, memory.span(), access::write);
    const const_buffer bytes = noise(rng, memory.size());
    std::vector<op<done>> ops;
    for (std::size_t i = 0; i < count; ++i) {
      REQUIRE_FALSE(o.ready());
      ops.push_back(
          t.who.write(bytes.subspan(i * piece, piece), t.token.at(i * piece, piece), {.last = i + 1 == count}));
    }
    for (auto& x : ops) must(x);
    REQUIRE(must(o).bytes == memory.size());
    REQUIRE(same(bytes, memory.span()));

    offer source = t.hand_over(w, memory.span(), access::read);
    std::vector<std::byte> copy(memory.size());
    ops.clear();
    for (std::size_t i = 0; i < count; ++i)
      ops.push_back(t.who.read(mutable_buffer(copy).subspan(i * piece, piece), t.token.at(i * piece, piece),
                               {.last = i + 1 == count}));
    for (auto& x : ops) must(x);
    REQUIRE(must(source).bytes == memory.size());
    REQUIRE(same(bytes, copy));
  }
}

TEST_CASE("an offer of several fragments is one run of bytes", "[offers]") {
  INFO("seed " << process_seed());
  taker t;
  world w;
  t.serve(**w.server);
  w.connect();
  random_source rng("fragments");
  for (int n = 0; n < 20; ++n) {
    // Spans of one array, side by side: what offer() takes is one span.
    guarded memory(rng.size(300000) + 1);
    offer o = t.hand_over(w, memory.span(), access::read_write);
    const auto pieces = noise_pieces(rng, memory.size(), limits::fragments);
    must(t.who.write(pieces, t.token));
    must(o);
    REQUIRE(same(pieces, memory.span()));
  }
}

TEST_CASE("a written offer can carry a notification", "[offers]") {
  taker t;
  counter told;
  findings wrong;
  guarded memory(5000);
  world w;
  t.serve(**w.server);
  (*w.client)->on_notify([&](const notification& n, const kfx::peer&) {
    wrong.check(!n.region && n.length == 5000 && n.imm == 9, "the notification lies");
    wrong.check(same(noise().first(5000), memory.span()), "the notification overtook the data");
    told.add();
  });
  w.connect();
  offer o = t.hand_over(w, memory.span(), access::write);
  must(t.who.write(noise().first(5000), t.token, {.notify = 9}));
  CHECK(must(o).bytes == 5000);
  CHECK(told.reaches(1));
  wrong.require_none();
}

TEST_CASE("a rejected offer ends with the peer's error", "[offers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  taker t;
  guarded memory(1000);
  world w(mode);
  t.serve(**w.server);
  w.connect();
  offer o = t.hand_over(w, memory.span(), access::write);
  must(t.who.reject(t.token, std::make_error_code(std::errc::no_space_on_device)));
  CHECK(error_of(o) == std::errc::no_space_on_device);
  offer p = t.hand_over(w, memory.span(), access::read_write);
  must(t.who.reject(t.token, errc::not_found));
  CHECK(error_of(p) == errc::not_found);
  const auto late = error_of(t.who.write(noise().first(5), t.token));
  INFO("after the rejection: " << late.message());
  CHECK(one_of(late, {errc::offer_used, errc::stale_region, errc::revoked}));
}

TEST_CASE("an offer is good for one transfer", "[offers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  taker t;
  guarded memory(1000);
  world w(mode);
  t.serve(**w.server);
  w.connect();
  offer o = t.hand_over(w, memory.span(), access::write);
  must(t.who.write(noise().first(10), t.token));
  CHECK(must(o).bytes == 10);
  memory.forbid();
  CHECK(one_of(error_of(t.who.write(noise().first(10), t.token)), {errc::offer_used, errc::stale_region}));
  must(w.peer.write(noise().first(10), w.remote.at(0, 10)));
}

TEST_CASE("an offer that is asked for twice at once is used once", "[offers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  INFO("seed " << process_seed());
  taker t;
  world w(mode);
  t.serve(**w.server);
  w.connect();
  random_source rng("twice");
  for (int n = 0; n < 200; ++n) {
    const std::size_t bytes = rng.size(300000) + 1;
    guarded memory(bytes);
    offer o = t.hand_over(w, memory.span(), access::read_write);
    const const_buffer first = noise(rng, bytes);
    std::vector<std::byte> other(bytes, poison);
    auto use = t.who.write(first, t.token);
    // On its lane or another one, to write or to read: it is spoken for.
    const lane l = rng.one_in(2) ? 0 : 3;
    auto again = rng.one_in(2) ? t.who.write(other, t.token, {.lane = l})
                               : t.who.read(other, t.token, {.lane = l, .last = rng.one_in(2)});
    REQUIRE(one_of(error_of(again), {errc::offer_used, errc::stale_region}));
    must(use);
    REQUIRE(must(o).bytes == bytes);
    REQUIRE(same(first, memory.span()));
  }
}

TEST_CASE("an offer reports no more than it holds", "[offers]") {
  taker t;
  world w(progress::threads);
  t.serve(**w.server);
  w.connect();
  guarded memory(1000);
  offer o = t.hand_over(w, memory.span(), access::write);
  for (int n = 0; n < 3; ++n) must(t.who.write(noise().first(1000), t.token, {.last = n == 2}));
  CHECK(must(o).bytes == 1000);
}

TEST_CASE("a revoked offer ends and is refused", "[offers]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  taker t;
  guarded memory(1000);
  world w(mode);
  t.serve(**w.server);
  w.connect();
  {
    offer o = t.hand_over(w, memory.span(), access::write);
    o.revoke();
    CHECK(error_of(o) == errc::revoked);
    memory.forbid();
    CHECK(one_of(error_of(t.who.write(noise().first(10), t.token)),
                 {errc::revoked, errc::stale_region, errc::offer_used}));
  }
  memory.allow();
  { offer gone = t.hand_over(w, memory.span(), access::write); }
  memory.forbid();
  CHECK(
      one_of(error_of(t.who.write(noise().first(10), t.token)), {errc::revoked, errc::stale_region, errc::offer_used}));
  memory.allow();
  offer late = w.peer.offer(memory.span(), access::write, {.deadline = 20ms});
  CHECK(error_of(late) == errc::timed_out);
}

TEST_CASE("an offer has rights, bounds, and one peer", "[offers]") {
  taker t;
  guarded memory(1000);
  memory.fill(std::byte{1});
  world w;
  t.serve(**w.server);
  w.connect();
  offer o = t.hand_over(w, memory.span(), access::read);
  CHECK(t.token.readable());
  CHECK_FALSE(t.token.writable());
  CHECK(error_of(t.who.write(noise().first(10), t.token)) == errc::access_denied);
  o.revoke();
  (void)outcome(o);

  offer p = t.hand_over(w, memory.span(), access::write);
  CHECK(error_of(t.who.write(noise().first(1001), t.token)) == errc::out_of_bounds);
  // Somebody who overheard the token.
  host third(client_options());
  kfx::peer client_from_third;
  {
    guarded other(1000);
    options listening = server_options();
    host owner(listening);
    kfx::peer from_owner;
    counter met;
    (*w.server)->on_message([&](message m) {
      from_owner = m.from();
      met.add();
    });
    client_from_third = third->at(uri_of(*owner));
    const region r = owner->share(other.span(), access::read_write);
    owner->publish("r", r);
    must(client_from_third.open("r"));
    // The owner offers to the server; the third node knocks with the same token.
    const kfx::peer to_server = owner->at(uri_of(**w.server));
    offer q = to_server.offer(other.span(), access::write);
    CHECK(error_of(client_from_third.write(noise().first(10), q.token())) == errc::access_denied);
    must(to_server.send(tag{}.bytes()));
    REQUIRE(met.reaches(1));
    must(from_owner.write(noise().first(10), q.token()));
    CHECK(must(q).bytes == 10);
    // Its own node is gone before what the handler refers to.
    (*w.server)->on_message([](message) {});
  }
  p.revoke();
  CHECK(one_of(error_of(p), {errc::revoked, errc::cancelled, errc::out_of_bounds}));
}

TEST_CASE("many offers are open at once and end in any order", "[offers]") {
  INFO("seed " << process_seed());
  std::mutex m;
  std::vector<std::pair<kfx::peer, remote_region>> handed;
  counter seen;
  world w;
  (*w.server)->on_message([&](message msg) {
    const auto token = remote_region::decode(msg.header());
    std::lock_guard lock(m);
    if (token) handed.emplace_back(msg.from(), *token);
    seen.add();
  });
  w.connect();
  constexpr std::size_t count = 400, size = 3000;
  guarded memory(count * size);
  std::vector<offer> offers;
  for (std::size_t i = 0; i < count; ++i) {
    offers.push_back(w.peer.offer(memory.part(i * size, size), access::write));
    const auto header = offers.back().token().encode();
    must(w.peer.send(header));
  }
  REQUIRE(seen.value() == count);
  random_source rng("many offers");
  std::shuffle(handed.begin(), handed.end(), rng.engine());
  batch all;
  for (std::size_t i = 0; i < count; ++i)
    all.add(handed[i].first.write(noise().first(size), handed[i].second, {.lane = static_cast<lane>(i % 9)}));
  REQUIRE(all.complete(patience).has_value());
  for (offer& o : offers) REQUIRE(must(o).bytes == size);
  for (std::size_t i = 0; i < count; ++i) REQUIRE(same(noise().first(size), memory.part(i * size, size)));
}

}  // namespace kfx::test
