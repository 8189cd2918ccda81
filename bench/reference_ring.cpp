// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Cache lines between two CPUs: the hop, and a ring of them.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "reference_pair.hpp"

namespace bench::reference {

using namespace std::chrono_literals;

namespace {

struct alignas(64) line {
  std::atomic<std::uint64_t> word;
};

/// The sequence number is stored last: who sees it sees the rest.
struct alignas(64) slot {
  std::uint64_t body;
  std::array<std::uint64_t, 6> rest;
  std::atomic<std::uint64_t> sequence;
};
static_assert(sizeof(slot) == 64);

constexpr std::uint64_t slots = 64;         // measured: 64 to 70 ns where 1024 take 70, and twice their rate
constexpr std::uint64_t batch = slots / 4;  // what a reader has taken is told in such steps

struct one_ring {
  std::array<slot, slots> at;
  line taken;
};

struct both_rings {
  one_ring there, back;
  line over;
};

void put(one_ring& r, std::uint64_t i, std::uint64_t body) {
  slot& s = r.at[i % slots];
  s.body = body;
  s.sequence.store(i + 1, std::memory_order_release);
}

/// False: the other side is done.
bool take(one_ring& r, std::uint64_t i, std::uint64_t& body, const line& over) {
  const slot& s = r.at[i % slots];
  for (unsigned spins = 1; s.sequence.load(std::memory_order_acquire) != i + 1; ++spins)
    if (spins % 4096 == 0 && over.word.load(std::memory_order_relaxed)) return false;
  body = s.body;
  return true;
}

double round_trip(const place& p) {
  const shared_pages pages(sizeof(both_rings));
  auto* r = pages.as<both_rings>();
  other_side other(p, [r] {
    std::uint64_t body = 0;
    for (std::uint64_t i = 0; take(r->there, i, body, r->over); ++i) put(r->back, i, body);
  });
  std::uint64_t i = 0, body = 0;
  const double ns = time_of(p, 100us, [&](unsigned n) {
    for (const std::uint64_t end = i + n; i < end; ++i) {
      put(r->there, i, i);
      take(r->back, i, body, r->over);
    }
  });
  r->over.word = 1;
  other.join();
  return ns;
}

double stream(const place& p) {
  const shared_pages pages(sizeof(both_rings));
  auto* r = pages.as<both_rings>();
  other_side other(p, [r] {
    std::uint64_t body = 0, sum = 0;
    for (std::uint64_t i = 0; take(r->there, i, body, r->over);) {
      sum += body;
      if (++i % batch == 0) r->there.taken.word.store(i, std::memory_order_release);
    }
    r->back.at[0].body = sum;  // so that it is read at all
  });
  std::uint64_t i = 0, taken = 0;
  const double ns = time_of(p, 500us, [&](unsigned n) {
    const std::uint64_t end = i + n * batch;
    for (; i < end; ++i) {
      while (i - taken == slots) taken = r->there.taken.word.load(std::memory_order_acquire);
      put(r->there, i, i);
    }
    while (taken != end) taken = r->there.taken.word.load(std::memory_order_acquire);
  });
  r->over.word = 1;
  other.join();
  return ns / batch;
}

}  // namespace

figures hop(const place& p) {
  const shared_pages pages(sizeof(line));
  auto* l = pages.as<line>();
  constexpr std::uint64_t last = ~std::uint64_t{0};
  other_side other(p, [l] {
    for (std::uint64_t expected = 1;; expected += 2) {
      std::uint64_t seen;
      while ((seen = l->word.load(std::memory_order_acquire)) != expected)
        if (seen == last) return;
      l->word.store(expected + 1, std::memory_order_release);
    }
  });
  std::uint64_t next = 1;
  const double ns = time_of(p, 100us, [&](unsigned n) {
    for (unsigned k = 0; k < n; ++k, next += 2) {
      l->word.store(next, std::memory_order_release);
      while (l->word.load(std::memory_order_acquire) != next + 1) {
      }
    }
  });
  l->word.store(last, std::memory_order_release);
  other.join();
  return {{"one_way_ns", ns / 2}};
}

figures ring(const place& p) {
  const double trip = round_trip(p);
  return {{"one_way_ns", trip / 2}, {"round_trip_ns", trip}, {"messages_per_second", 1e9 / stream(p)}};
}

}  // namespace bench::reference
