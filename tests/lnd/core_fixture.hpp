// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What tests of the core have in common: hosts, memory with known bytes, events one can wait for.

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "fake_lnd.hpp"
#include "host.hpp"

namespace lnd_test {

using namespace lnet;
using namespace std::chrono_literals;

/// Long enough for what must come; nothing waits that long unless it is lost.
inline constexpr auto patience = std::chrono::milliseconds(20000);

inline nid at(const char* text) { return *parse_nid(text); }
inline process_id on(nid n) { return {n, default_pid}; }
inline process_id on(const char* text) { return on(at(text)); }
inline const process_id self{nid::loopback(), default_pid};
inline const process_id anybody{};

/// Bytes that tell where they are from.
inline std::vector<std::byte> pattern(std::size_t length, unsigned seed = 1) {
  std::vector<std::byte> bytes(length);
  std::uint32_t x = seed * 2654435761u + 1;
  for (auto& b : bytes) {
    x = x * 1664525u + 1013904223u;
    b = static_cast<std::byte>(x >> 24);
  }
  return bytes;
}

/// Events of some MDs, in the order in which they came.
struct box {
  event_queue_ptr queue = std::make_shared<event_queue>();

  /// The next one; fails the test when none comes.
  event next() {
    auto e = queue->poll(patience);
    REQUIRE(e);
    return *e;
  }
  event next(event_type t) {
    const event e = next();
    CHECK(std::string(to_string(e.type)) == to_string(t));
    return e;
  }
  /// As many as that, those of one type first where it matters to nobody.
  std::vector<event> several(std::size_t n) {
    std::vector<event> list;
    while (list.size() < n) list.push_back(next());
    return list;
  }
  bool empty() { return !queue->poll(); }
};

inline const event& of_type(const std::vector<event>& list, event_type t) {
  const event* found = nullptr;
  for (const event& e : list)
    if (e.type == t) {
      CHECK(!found);
      found = &e;
    }
  REQUIRE(found);
  return *found;
}

inline memory_descriptor memory(std::vector<std::byte>& bytes, const box& b, unsigned options = 0,
                                int threshold = threshold_infinite) {
  memory_descriptor d;
  if (!bytes.empty()) d.memory = {bytes};
  d.options = options;
  d.threshold = threshold;
  d.events = b.queue;
  return d;
}

inline me_handle attach_me(host& h, unsigned portal, std::uint64_t bits, std::uint64_t ignore = 0,
                           process_id match = anybody, unlink_op op = unlink_op::unlink,
                           insert_position where = insert_position::after) {
  me_handle e;
  REQUIRE(h.me_attach(portal, match, bits, ignore, op, where, e) == 0);
  return e;
}

/// An ME with an MD.
inline md_handle offer(host& h, unsigned portal, std::uint64_t bits, const memory_descriptor& d,
                       unlink_op op = unlink_op::unlink) {
  md_handle handle;
  REQUIRE(h.md_attach(attach_me(h, portal, bits), d, op, handle) == 0);
  return handle;
}

inline md_handle bind(host& h, const memory_descriptor& d, unlink_op op = unlink_op::unlink) {
  md_handle handle;
  REQUIRE(h.md_bind(d, op, handle) == 0);
  return handle;
}

/// Puts these bytes, without an ACK, from memory of its own; the events of that MD.
inline void put_quietly(host& h, process_id target, unsigned portal, std::uint64_t bits, std::vector<std::byte>& bytes,
                        std::size_t offset = 0, std::uint64_t hdr_data = 0) {
  box b;
  const md_handle d = bind(h, memory(bytes, b, 0, 1));
  REQUIRE(h.put(nid::any(), d, ack_request::no_ack, target, portal, bits, offset, hdr_data) == 0);
  const event e = b.next(event_type::send);
  CHECK(e.status == 0);
  CHECK(e.unlinked);
}

inline host_options networks(const char* text) {
  host_options o;
  o.networks = text;
  return o;
}

template <class... Drivers>
std::vector<driver_ptr> drivers(Drivers... d) {
  std::vector<driver_ptr> list;
  (list.push_back(std::move(d)), ...);
  return list;
}

/// Two hosts, a (10.0.0.1@tcp) and b (10.0.0.2@tcp), on a net of a test.
struct pair {
  explicit pair(fake_net& net, host_options o = {}) : pair(net, o, "tcp(10.0.0.1)", "tcp(10.0.0.2)") {}
  pair(fake_net& net, host_options o, const char* nets_a, const char* nets_b) {
    o.networks = nets_a;
    a.emplace(o, drivers(net.driver()));
    o.networks = nets_b;
    b.emplace(o, drivers(net.driver()));
  }
  std::optional<host> a, b;
};
inline const process_id host_a = on("10.0.0.1@tcp"), host_b = on("10.0.0.2@tcp");

/// Whether it becomes true.
template <class Condition>
bool eventually(Condition c) {
  for (const auto end = clock::now() + patience; clock::now() < end; std::this_thread::yield())
    if (c()) return true;
  return false;
}

/// Nobody was left owing anything.
inline void check_debts(fake_net& net) {
  const auto list = net.violations();
  for (const auto& v : list) UNSCOPED_INFO(v);
  CHECK(list.empty());
}

}  // namespace lnd_test
