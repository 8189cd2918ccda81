// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The ring of lines in every order of events: nothing is read before it was handed over, nothing stale is taken for a
/// chunk, no line is written while it is read. What the checker is worth is shown by what it finds in broken ones.

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <memory>

#include "backends/loopback/doorbell.hpp"
#include "interleave.hpp"
#include "wire/line_ring.hpp"

namespace {

using namespace kfx;

/// What may be done wrong.
struct mistakes {
  bool relaxed_word = false;   ///< a chunk's word does not hand its bytes over
  bool relaxed_count = false;  ///< nor does the reader's count the lines
  bool no_clearing = false;    ///< lines keep what they held a lap ago
};

/// The ring's words in the model. Each line has one; they are looked up by place.
template <mistakes M>
struct words {
  using count = model::atomic<std::uint64_t>;
  static inline const std::byte* memory = nullptr;
  static inline std::deque<model::atomic<std::uint64_t>> lines;

  static model::atomic<std::uint64_t>& line(const std::byte* at) {
    return lines.at(static_cast<std::size_t>(at - memory) / wire::ring_line);
  }
  static std::uint64_t load(const count& c) { return c.load(order(M.relaxed_count, std::memory_order_acquire)); }
  static void store(count& c, std::uint64_t v) { c.store(v, order(M.relaxed_count, std::memory_order_release)); }
  static std::uint64_t load(const std::byte* at) {
    return line(at).load(order(M.relaxed_word, std::memory_order_acquire));
  }
  static void store(std::byte* at, std::uint64_t v) {
    line(at).store(v, order(M.relaxed_word, std::memory_order_release));
  }
  static void clear(std::byte* at) {
    if (!M.no_clearing) line(at).store(0, std::memory_order_relaxed);
  }
  static void fence() {}
  static void wrote(const void* p, std::size_t n) { model::touch(p, n, true); }
  static void reads(const void* p, std::size_t n) { model::touch(p, n, false); }

 private:
  static constexpr std::memory_order order(bool relaxed, std::memory_order o) noexcept {
    return relaxed ? std::memory_order_relaxed : o;
  }
};

struct waitable : model::sync {
  class event : public model::event {
   public:
    event() { last = this; }
    static inline event* last = nullptr;
  };
};

constexpr std::size_t capacity = 4 * wire::ring_line;

/// Both ends of one direction, with a ring of four lines; with `short_lap`, it begins anew whenever it may.
template <mistakes M>
struct line {
  using sync = words<M>;
  alignas(wire::ring_line) std::array<std::byte, capacity> memory{};
  typename sync::count freed{0};
  loopback::basic_doorbell<waitable> consumer;
  waitable::event* consumer_event = waitable::event::last;
  loopback::basic_doorbell<waitable> producer;
  waitable::event* producer_event = waitable::event::last;
  wire::basic_ring_writer<sync> writer;
  wire::basic_ring_reader<sync> reader{memory, freed};

  explicit line(std::size_t short_lap) : writer(memory, freed, short_lap) {
    sync::memory = memory.data();
    sync::lines.clear();
    for (std::size_t i = 0; i < capacity / wire::ring_line; ++i) sync::lines.emplace_back(0);
  }

  void produce(unsigned items, std::size_t bytes) {
    for (unsigned i = 0; i < items; ++i) {
      std::span<std::byte> place = writer.reserve(bytes, bytes);
      while (place.empty()) {
        if (writer.broken()) model::fail("the writer gave up");
        producer.arm(loopback::doorbell::room);
        place = writer.reserve(bytes, bytes);
        if (place.empty()) producer_event->wait();
        producer.disarm();
        if (place.empty()) place = writer.reserve(bytes, bytes);
      }
      std::memset(place.data(), static_cast<int>(i + 1), bytes);
      writer.publish(wire::chunk_kind::frames, bytes);
      consumer.ring(loopback::doorbell::data);
    }
  }

  void consume(unsigned items, std::size_t bytes) {
    for (unsigned i = 0; i < items;) {
      if (const auto chunk = reader.front()) {
        if (chunk->bytes.size() != bytes || chunk->bytes[0] != static_cast<std::byte>(i + 1))
          model::fail("item " + std::to_string(i) + " is not what was sent");
        reader.pop();
        reader.give_back();
        producer.ring(loopback::doorbell::room);
        ++i;
        continue;
      }
      if (reader.broken()) model::fail("the reader gave up");
      if (reader.give_back()) producer.ring(loopback::doorbell::room);  // it skipped a wrap
      consumer.arm(loopback::doorbell::data);
      if (reader.empty()) consumer_event->wait();
      consumer.disarm();
    }
  }
};

template <mistakes M = mistakes{}>
model::report try_all(unsigned items, std::size_t bytes, const model::bounds& b = {}, std::size_t lap = capacity) {
  return model::explore(
      [=]() -> model::program {
        auto l = std::make_shared<line<M>>(lap);
        return {[=] { l->produce(items, bytes); }, [=] { l->consume(items, bytes); }};
      },
      b);
}

constexpr std::size_t one_line = 16;
constexpr std::size_t two_lines = 100;

}  // namespace

TEST_CASE("ring of lines: two chunks in every order of events") {
  const model::report r = try_all(2, one_line);
  INFO(r.executions << " executions; " << r.failure);
  CHECK(r.failure.empty());
  CHECK(r.complete);
}

TEST_CASE("ring of lines: chunks that wait for room, on lines that held others") {
  const auto [items, bytes] = GENERATE(std::pair{6u, one_line}, std::pair{4u, two_lines});
  const model::report r = try_all(items, bytes, {.preemptions = 2});
  INFO(items << " of " << bytes << " bytes: " << r.executions << " executions; " << r.failure);
  CHECK(r.failure.empty());
  CHECK(r.complete);
}

TEST_CASE("ring of lines: laps that begin anew before the ring's end") {
  const auto [items, bytes] = GENERATE(std::pair{4u, one_line}, std::pair{3u, two_lines});
  const model::report r = try_all(items, bytes, {.preemptions = 2}, wire::ring_line);
  INFO(items << " of " << bytes << " bytes: " << r.executions << " executions; " << r.failure);
  CHECK(r.failure.empty());
  CHECK(r.complete);
}

TEST_CASE("ring of lines: the checker finds what a weaker order breaks, and a line that was not cleared") {
  CHECK_THAT(try_all<mistakes{.relaxed_word = true}>(2, one_line).failure, Catch::Contains("not handed over"));
  CHECK_THAT((try_all<mistakes{.relaxed_count = true}>(6, one_line, {.preemptions = 2}).failure),
             Catch::Contains("still being read"));
  CHECK_THAT((try_all<mistakes{.no_clearing = true}>(6, one_line, {.preemptions = 2}).failure),
             Catch::Contains("is not what was sent"));
}
