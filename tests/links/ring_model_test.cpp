// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The ring and the doorbell of loopback links in every order of events: no byte is read before it was handed over or
/// written while it is read, and no wake-up is lost. What the checker is worth is shown by what it finds in broken
/// ones.

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

#include "backends/loopback/byte_ring.hpp"
#include "backends/loopback/doorbell.hpp"
#include "interleave.hpp"

namespace {

using namespace kfx;

/// The model, with orders of memory that are weaker by as much as a template says.
template <bool Acquire, bool Release>
struct weakened : model::sync {
  template <class T>
  class atomic : public model::atomic<T> {
   public:
    using model::atomic<T>::atomic;
    T load(std::memory_order o) const { return model::atomic<T>::load(Acquire ? o : std::memory_order_relaxed); }
    void store(T v, std::memory_order o) { model::atomic<T>::store(v, Release ? o : std::memory_order_relaxed); }
  };
};

struct waitable : model::sync {
  class event : public model::event {
   public:
    event() { last = this; }
    static inline event* last = nullptr;
  };
};

/// Both ends of one direction: items of that size go through a ring of 64 bytes.
template <class Sync>
struct line {
  explicit line(std::size_t size) : bytes(size) {}
  const std::size_t bytes;
  loopback::basic_byte_ring<Sync, 64> ring;
  loopback::basic_doorbell<waitable> consumer;
  waitable::event* consumer_event = waitable::event::last;
  loopback::basic_doorbell<waitable> producer;
  waitable::event* producer_event = waitable::event::last;

  void produce(unsigned items) {
    for (unsigned i = 0; i < items; ++i) {
      std::span<std::byte> place = ring.reserve(bytes, bytes);
      while (place.empty()) {
        producer.arm(loopback::doorbell::room);
        place = ring.reserve(bytes, bytes);
        if (place.empty()) producer_event->wait();
        producer.disarm();
        if (place.empty()) place = ring.reserve(bytes, bytes);
      }
      std::memset(place.data(), static_cast<int>(i + 1), bytes);
      ring.commit(decltype(ring)::kind::frames, bytes);
      consumer.ring(loopback::doorbell::data);
    }
  }

  void consume(unsigned items, bool looks_after_arming) {
    for (unsigned i = 0; i < items;) {
      if (const auto chunk = ring.front()) {
        if (chunk->bytes.size() != bytes || chunk->bytes[0] != static_cast<std::byte>(i + 1))
          model::fail("item " + std::to_string(i) + " is not what was sent");
        ring.pop();
        producer.ring(loopback::doorbell::room);
        ++i;
        continue;
      }
      consumer.arm(loopback::doorbell::data);
      if (!looks_after_arming || !ring.front()) consumer_event->wait();
      consumer.disarm();
    }
  }
};

template <class Sync>
model::report try_all(unsigned items, std::size_t bytes, const model::bounds& b = {}, bool looks_after_arming = true) {
  return model::explore(
      [=]() -> model::program {
        auto l = std::make_shared<line<Sync>>(bytes);
        return {[=] { l->produce(items); }, [=] { l->consume(items, looks_after_arming); }};
      },
      b);
}

}  // namespace

TEST_CASE("ring and doorbell: two items in every order of events") {
  const model::report r = try_all<model::sync>(2, 16);
  INFO(r.executions << " executions; " << r.failure);
  CHECK(r.failure.empty());
  CHECK(r.complete);
}

TEST_CASE("ring and doorbell: items that wait for room and begin at the ring's beginning again") {
  const model::report r = try_all<model::sync>(3, 48, {.preemptions = 3});
  INFO(r.executions << " executions; " << r.failure);
  CHECK(r.failure.empty());
  CHECK(r.complete);
}

TEST_CASE("the checker finds what a weaker order breaks, and a look that comes too early") {
  CHECK_THAT((try_all<weakened<true, false>>(2, 16).failure), Catch::Contains("not handed over"));
  CHECK_THAT((try_all<weakened<false, true>>(2, 16).failure), Catch::Contains("not handed over"));
  CHECK_THAT((try_all<weakened<false, true>>(3, 48, {.preemptions = 3}).failure), !Catch::Equals(""));
  CHECK_THAT((try_all<model::sync>(2, 16, {}, false).failure), Catch::Contains("everybody sleeps"));
}
