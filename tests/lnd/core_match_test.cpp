// SPDX-License-Identifier: BSD-2-Clause
// Where messages end up: match entries and memory descriptors, over the loopback NI.
#include <cerrno>

#include "core_fixture.hpp"

using namespace lnd_test;

namespace {

/// One host and bytes to be put.
struct alone {
  host h{{}, {}};
  box events;
  std::vector<std::byte> bytes = pattern(64);
  /// Puts the first so many.
  void put(unsigned portal, std::uint64_t bits, std::size_t length = 64, std::size_t offset = 0) {
    auto some = pattern(length);
    put_quietly(h, self, portal, bits, some, offset);
  }
};

}  // namespace

TEST_CASE("a PUT goes to the first entry that matches, bits under the ignore bits") {
  alone t;
  std::vector<std::byte> first(64), second(64), third(64);
  auto d = memory(first, t.events, md_op_put);
  d.user = &first;
  md_handle handle;
  REQUIRE(t.h.md_attach(attach_me(t.h, 5, 0xab00, 0xff), d, unlink_op::retain, handle) == 0);
  d = memory(second, t.events, md_op_put);
  d.user = &second;
  offer(t.h, 5, 0xabcd, d);
  d = memory(third, t.events, md_op_put);
  d.user = &third;
  const me_handle e = attach_me(t.h, 5, 0xab01, 0, anybody, unlink_op::unlink, insert_position::before);
  REQUIRE(t.h.md_attach(e, d, unlink_op::retain, handle) == 0);

  const auto taker = [&](std::uint64_t bits) {
    t.put(5, bits, 4);
    const event put = t.events.next(event_type::put);
    CHECK(put.match_bits == bits);
    CHECK(put.mlength == 4);
    CHECK(put.portal == 5);
    CHECK(put.initiator == self);
    return put.user;
  };
  CHECK(taker(0xab01) == &third);
  CHECK(taker(0xab02) == &first);
  CHECK(taker(0xabcd) == &first);
  // What nobody wants, or not there, is dropped.
  const auto before = t.h.stats().dropped;
  t.put(5, 0xac00);
  t.put(6, 0xab02);
  CHECK(t.events.empty());
  CHECK(t.h.stats().dropped == before + 2);
  REQUIRE(t.h.me_unlink(e) == 0);
  const event gone = t.events.next(event_type::unlink);
  CHECK(gone.user == &third);
  CHECK(gone.unlinked);
  CHECK(taker(0xab01) == &first);
  CHECK(t.h.me_unlink(e) == -ENOENT);
}

TEST_CASE("an entry may be for one process, one host, or anybody") {
  alone t;
  std::vector<std::byte> space(256);
  md_handle handle;
  const auto with = [&](process_id who, void* user) {
    auto d = memory(space, t.events, md_op_put);
    d.user = user;
    REQUIRE(t.h.md_attach(attach_me(t.h, 1, 7, 0, who), d, unlink_op::retain, handle) == 0);
    return handle;
  };
  int a = 0, b = 0, c = 0, d = 0;
  with(on("10.0.0.1@tcp"), &a);
  with({nid::loopback(), 999}, &b);
  const auto specific = with(self, &c);
  with({nid::any(), default_pid}, &d);
  t.put(1, 7);
  CHECK(t.events.next(event_type::put).user == &c);
  REQUIRE(t.h.md_unlink(specific) == 0);
  t.events.next(event_type::unlink);
  t.put(1, 7);
  CHECK(t.events.next(event_type::put).user == &d);
}

TEST_CASE("offsets are the initiator's or follow one another") {
  alone t;
  std::vector<std::byte> near(64), remote(64);
  offer(t.h, 1, 1, memory(near, t.events, md_op_put));
  offer(t.h, 1, 2, memory(remote, t.events, md_op_put | md_manage_remote));
  for (const std::size_t expected : {0u, 20u, 40u}) {
    t.put(1, 1, 20, 5);
    CHECK(t.events.next(event_type::put).offset == expected);
    t.put(1, 2, 20, 44);
    CHECK(t.events.next(event_type::put).offset == 44);
  }
  const auto bytes = pattern(20);
  for (const std::size_t from : {0u, 20u, 40u}) CHECK(std::equal(bytes.begin(), bytes.end(), near.begin() + from));
  CHECK(std::equal(bytes.begin(), bytes.end(), remote.begin() + 44));
  CHECK(remote[43] == std::byte{0});
  // Past the end there is no room, not even far beyond it.
  t.put(1, 2, 21, 44);
  t.put(1, 2, 1, ~std::uint32_t{0});
  t.put(1, 1, 5);
  CHECK(t.events.empty());
  CHECK(t.h.stats().dropped == 3);
}

TEST_CASE("what is too long is cut off or dropped") {
  alone t;
  std::vector<std::byte> exact(10), cut(12);
  offer(t.h, 1, 1, memory(exact, t.events, md_op_put));
  offer(t.h, 1, 2, memory(cut, t.events, md_op_put | md_truncate | md_manage_remote));
  // It was meant for the first that matches: another behind it does not get it.
  std::vector<std::byte> large(64);
  offer(t.h, 1, 1, memory(large, t.events, md_op_put));
  t.put(1, 1, 11);
  CHECK(t.events.empty());
  t.put(1, 1, 10);
  CHECK(t.events.next(event_type::put).mlength == 10);
  t.put(1, 2, 40, 4);
  event e = t.events.next(event_type::put);
  CHECK(e.rlength == 40);
  CHECK(e.mlength == 8);
  CHECK(e.offset == 4);
  const auto bytes = pattern(40);
  CHECK(std::equal(cut.begin() + 4, cut.end(), bytes.begin()));
  t.put(1, 2, 40, 100);
  e = t.events.next(event_type::put);
  CHECK(e.mlength == 0);
  CHECK(t.h.stats().dropped == 1);
}

TEST_CASE("the threshold counts operations; who is spent goes, or stays in nobody's way") {
  alone t;
  std::vector<std::byte> first(64), second(64);
  const bool goes = GENERATE(true, false);
  const md_handle d =
      offer(t.h, 1, 1, memory(first, t.events, md_op_put, 2), goes ? unlink_op::unlink : unlink_op::retain);
  offer(t.h, 1, 1, memory(second, t.events, md_op_put), unlink_op::retain);
  t.put(1, 1, 1);
  event e = t.events.next(event_type::put);
  CHECK(e.md == d);
  CHECK(!e.unlinked);
  t.put(1, 1, 1);
  e = t.events.next(event_type::put);
  CHECK(e.md == d);
  CHECK(e.unlinked == goes);
  t.put(1, 1, 1);
  CHECK(t.events.next(event_type::put).md != d);
  CHECK(t.h.md_unlink(d) == (goes ? -ENOENT : 0));
  if (!goes) CHECK(t.events.next(event_type::unlink).unlinked);
}

TEST_CASE("with less left than max_size it is spent") {
  alone t;
  std::vector<std::byte> space(100);
  auto d = memory(space, t.events, md_op_put | md_max_size);
  d.max_size = 40;
  offer(t.h, 1, 1, d);
  t.put(1, 1, 41);  // more than it takes at a time
  CHECK(t.events.empty());
  t.put(1, 1, 30);
  CHECK(!t.events.next(event_type::put).unlinked);
  t.put(1, 1, 30);
  const event e = t.events.next(event_type::put);
  CHECK(e.offset == 30);
  CHECK(!e.unlinked);
  t.put(1, 1, 1);
  CHECK(t.events.next(event_type::put).unlinked);
  t.put(1, 1, 1);
  CHECK(t.events.empty());
  CHECK(t.h.stats().dropped == 2);
}

TEST_CASE("memory takes only the operations it is for") {
  alone t;
  auto source = pattern(32, 3);
  std::vector<std::byte> space(32), sink(32);
  offer(t.h, 1, 1, memory(source, t.events, md_op_get));
  offer(t.h, 1, 1, memory(space, t.events, md_op_put));
  t.put(1, 1, 8);
  CHECK(t.events.next(event_type::put).mlength == 8);
  box mine;
  REQUIRE(t.h.get(nid::any(), bind(t.h, memory(sink, mine, 0, 2)), self, 1, 1, 0) == 0);
  const auto two = mine.several(2);
  CHECK(of_type(two, event_type::reply).mlength == 32);
  CHECK(t.events.next(event_type::get).mlength == 32);
  CHECK(sink == source);
}

TEST_CASE("what cannot be is refused") {
  alone t;
  std::vector<std::byte> space(64);
  const auto good = memory(space, t.events, md_op_put);
  md_handle d;
  me_handle e;
  CHECK(t.h.me_attach(portal_count, anybody, 0, 0, unlink_op::unlink, insert_position::after, e) == -EINVAL);
  CHECK(t.h.set_lazy_portal(portal_count) == -EINVAL);
  CHECK(t.h.clear_lazy_portal(portal_count) == -EINVAL);
  CHECK(t.h.md_attach({}, good, unlink_op::unlink, d) == -ENOENT);
  CHECK(t.h.md_unlink({}) == -ENOENT);
  e = attach_me(t.h, 1, 1);
  auto bad = good;
  bad.options = md_truncate;
  CHECK(t.h.md_attach(e, bad, unlink_op::unlink, d) == -EINVAL);
  bad = good;
  bad.memory.assign(max_fragments + 1, std::span(space).first(0));
  CHECK(t.h.md_attach(e, bad, unlink_op::unlink, d) == -EINVAL);
  CHECK(t.h.md_bind(bad, unlink_op::unlink, d) == -EINVAL);
  bad.memory.pop_back();
  CHECK(t.h.md_bind(bad, unlink_op::unlink, d) == 0);
  for (const int threshold : {0, -2}) {
    bad = good;
    bad.threshold = threshold;
    CHECK(t.h.md_bind(bad, unlink_op::unlink, d) == -EINVAL);
  }
  bad = good;
  bad.options |= md_max_size;
  CHECK(t.h.md_attach(e, bad, unlink_op::unlink, d) == -EINVAL);
  bad.max_size = 65;
  CHECK(t.h.md_attach(e, bad, unlink_op::unlink, d) == -EINVAL);
  REQUIRE(t.h.md_attach(e, good, unlink_op::unlink, d) == 0);
  md_handle other;
  CHECK(t.h.md_attach(e, good, unlink_op::unlink, other) == -EBUSY);
  // Attached memory is no initiator's.
  CHECK(t.h.put(nid::any(), d, ack_request::no_ack, self, 1, 1, 0, 0) == -ENOENT);
  const md_handle mine = bind(t.h, good);
  CHECK(t.h.put(nid::any(), mine, ack_request::no_ack, self, portal_count, 1, 0, 0) == -EINVAL);
  CHECK(t.h.get(nid::any(), mine, self, portal_count, 1, 0) == -EINVAL);
  CHECK(t.h.put(nid::any(), mine, ack_request::no_ack, on("10.0.0.1@tcp"), 1, 1, 0, 0) == -EHOSTUNREACH);
  CHECK(t.h.put(at("10.0.0.9@tcp"), mine, ack_request::no_ack, self, 1, 1, 0, 0) == -EHOSTUNREACH);
  CHECK(t.h.put(nid::any(), {}, ack_request::no_ack, self, 1, 1, 0, 0) == -ENOENT);
}
