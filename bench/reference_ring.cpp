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

/// A message of so many words. The sequence number is stored last: who sees it sees the rest.
template <std::size_t Words>
struct alignas(64) slot {
  std::atomic<std::uint64_t> sequence;
  std::array<std::uint64_t, Words> body;
};
static_assert(sizeof(slot<1>) == 64);

constexpr std::uint64_t slots = 64;         // measured: 64 to 70 ns where 1024 take 70, and twice their rate
constexpr std::uint64_t batch = slots / 4;  // what a reader has taken is told in such steps

template <std::size_t Words>
struct one_ring {
  std::array<slot<Words>, slots> at;
  line taken;
};

template <std::size_t Words>
struct both_rings {
  one_ring<Words> there, back;
  line over;
};

template <std::size_t Words>
void put(one_ring<Words>& r, std::uint64_t i, const std::array<std::uint64_t, Words>& body) {
  slot<Words>& s = r.at[i % slots];
  s.body = body;
  s.sequence.store(i + 1, std::memory_order_release);
}

/// False: the other side is done.
template <std::size_t Words>
bool take(one_ring<Words>& r, std::uint64_t i, std::array<std::uint64_t, Words>& body, const line& over) {
  const slot<Words>& s = r.at[i % slots];
  for (unsigned spins = 1; s.sequence.load(std::memory_order_acquire) != i + 1; ++spins)
    if (spins % 4096 == 0 && over.word.load(std::memory_order_relaxed)) return false;
  body = s.body;
  return true;
}

template <std::size_t Words>
double round_trip(const place& p) {
  const shared_pages pages(sizeof(both_rings<Words>));
  auto* r = pages.as<both_rings<Words>>();
  other_side other(p, [r] {
    std::array<std::uint64_t, Words> body{};
    for (std::uint64_t i = 0; take(r->there, i, body, r->over); ++i) put(r->back, i, body);
  });
  std::uint64_t i = 0;
  std::array<std::uint64_t, Words> body{};
  const double ns = time_of(p, 100us, [&](unsigned n) {
    for (const std::uint64_t end = i + n; i < end; ++i) {
      body[0] = i;
      put(r->there, i, body);
      take(r->back, i, body, r->over);
    }
  });
  r->over.word = 1;
  other.join();
  return ns;
}

double stream(const place& p) {
  const shared_pages pages(sizeof(both_rings<1>));
  auto* r = pages.as<both_rings<1>>();
  other_side other(p, [r] {
    std::array<std::uint64_t, 1> body{};
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; take(r->there, i, body, r->over);) {
      sum += body[0];
      if (++i % batch == 0) r->there.taken.word.store(i, std::memory_order_release);
    }
    r->back.at[0].body[0] = sum;  // so that it is read at all
  });
  std::uint64_t i = 0, taken = 0;
  const double ns = time_of(p, 500us, [&](unsigned n) {
    const std::uint64_t end = i + n * batch;
    for (; i < end; ++i) {
      while (i - taken == slots) taken = r->there.taken.word.load(std::memory_order_acquire);
      put(r->there, i, {i});
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
  const double trip = round_trip<1>(p);
  // What a header of 72 bytes and a payload of 40 take: two lines bare, three with the 40 bytes kfx frames them in.
  const double two = round_trip<14>(p), three = round_trip<19>(p);
  return {{"one_way_ns", trip / 2},
          {"round_trip_ns", trip},
          {"two_lines_one_way_ns", two / 2},
          {"three_lines_one_way_ns", three / 2},
          {"messages_per_second", 1e9 / stream(p)}};
}

}  // namespace bench::reference
