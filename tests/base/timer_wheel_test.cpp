// SPDX-License-Identifier: BSD-2-Clause
#include "base/timer_wheel.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <vector>

#include "seed.hpp"

using kfx::base::timer_wheel;
using links = kfx::detail::timer_links;

namespace {
constexpr std::int64_t ms = 1000000;
constexpr std::int64_t tick = timer_wheel::tick_ns;
constexpr std::int64_t far = std::int64_t{1} << 62;

links at(std::int64_t expiry) {
  links t;
  t.expiry = expiry;
  return t;
}

std::vector<links*> due(timer_wheel& w, std::int64_t now) {
  std::vector<links*> fired;
  w.advance(now, [&](links& t) { fired.push_back(&t); });
  return fired;
}
}  // namespace

TEST_CASE("a timer fires once, not early and a tick late at most", "[timer]") {
  const std::int64_t start = GENERATE(std::int64_t{0}, 12345 * ms, std::int64_t{1} << 55);
  const std::int64_t after = GENERATE(std::int64_t{1}, tick - 1, tick, tick + 1, 63 * tick, 64 * tick, 65 * tick,
                                      4096 * tick + 7, 30000 * ms, std::int64_t{1} << 50);
  timer_wheel w(start);
  links t = at(start + after);
  w.add(t);
  CHECK(w.size() == 1);
  CHECK(w.next() <= t.expiry + tick);
  CHECK(due(w, t.expiry - 1).empty());
  CHECK(timer_wheel::linked(t));
  CHECK(due(w, t.expiry + tick) == std::vector<links*>{&t});
  CHECK_FALSE(timer_wheel::linked(t));
  CHECK(w.empty());
  CHECK(w.next() == timer_wheel::none);
  CHECK(due(w, t.expiry + far / 4).empty());
}

TEST_CASE("a timer already past is due at once", "[timer]") {
  timer_wheel w(1000 * ms);
  links past = at(1), now = at(1000 * ms - tick), negative = at(-5);
  for (links* t : {&past, &now, &negative}) w.add(*t);
  CHECK(w.next() == 0);
  CHECK(due(w, 1000 * ms).size() == 3);
  CHECK(w.next() == timer_wheel::none);
}

TEST_CASE("the last instant there is can be waited for", "[timer]") {
  timer_wheel w(5 * ms);
  links t = at(std::numeric_limits<std::int64_t>::max());
  w.add(t);
  CHECK(w.next() > far);
  CHECK(due(w, far).empty());
  CHECK(w.next() > far);
  w.remove(t);
  CHECK(w.empty());
  CHECK(w.next() == timer_wheel::none);
}

TEST_CASE("a removed timer does not fire and does not wake anybody", "[timer]") {
  timer_wheel w(0);
  links a = at(10 * ms), b = at(10 * ms), c = at(1000 * ms);
  for (links* t : {&a, &b, &c}) w.add(*t);
  w.remove(a);
  w.remove(a);
  CHECK(w.size() == 2);
  w.remove(b);
  CHECK(w.next() > 10 * ms + tick);
  w.remove(c);
  CHECK(w.next() == timer_wheel::none);
  CHECK(due(w, far).empty());
  links never = at(5);
  w.remove(never);
  CHECK(w.empty());
}

TEST_CASE("a callback may add and remove timers, due ones too", "[timer]") {
  timer_wheel w(0);
  links first = at(5 * ms), second = at(5 * ms), third = at(5 * ms), again = at(1);
  for (links* t : {&first, &second, &third}) w.add(*t);
  int calls = 0;
  const auto fired = w.advance(20 * ms, [&](links& t) {
    ++calls;
    CHECK_FALSE(timer_wheel::linked(t));
    if (&t == &first) {
      w.remove(second);
      w.add(again);
    }
  });
  CHECK(calls == 2);
  CHECK(fired == 2);
  CHECK(w.size() == 1);
  CHECK(w.next() == 0);
  CHECK(due(w, 20 * ms) == std::vector<links*>{&again});
}

TEST_CASE("sleeping until next() misses nothing and wakes seldom", "[timer]") {
  timer_wheel w(777 * ms);
  links t = at(777 * ms + 3600 * 1000 * ms);
  w.add(t);
  int wakes = 0;
  std::int64_t now = 777 * ms;
  while (!w.empty()) {
    REQUIRE(w.next() > now);
    now = w.next();
    w.advance(now, [](links&) {});
    ++wakes;
  }
  CHECK(now >= t.expiry);
  CHECK(now <= t.expiry + tick);
  CHECK(wakes <= 8);
}

TEST_CASE("a wheel agrees with a list", "[timer][random]") {
  const std::uint64_t seed = kfx_test::seed("timer wheel");
  kfx_test::rng r(seed);
  INFO("KFX_TEST_SEED=" << seed);
  std::int64_t now = static_cast<std::int64_t>(kfx_test::log_uniform(r, 60));
  timer_wheel w(now);
  std::vector<std::unique_ptr<links>> timers;
  for (int i = 0; i < 300; ++i) timers.push_back(std::make_unique<links>());
  std::size_t fired = 0;
  for (int step = 0; step < 60000; ++step) {
    links& t = *timers[kfx_test::below(r, timers.size())];
    if (timer_wheel::linked(t)) {
      if (kfx_test::below(r, 3) == 0) w.remove(t);
    } else {
      const auto distance = static_cast<std::int64_t>(kfx_test::log_uniform(r, 44));
      t.expiry = kfx_test::below(r, 8) ? now + distance : now - distance % (now + 1);
      w.add(t);
    }
    if (kfx_test::below(r, 4) != 0) continue;
    std::int64_t earliest = timer_wheel::none;
    for (const auto& u : timers)
      if (timer_wheel::linked(*u)) earliest = std::min(earliest, u->expiry);
    if (earliest == timer_wheel::none)
      REQUIRE(w.next() == timer_wheel::none);
    else
      REQUIRE(w.next() <= std::max<std::int64_t>(earliest + tick, 0));
    now += static_cast<std::int64_t>(kfx_test::log_uniform(r, 40));
    w.advance(now, [&](links& f) {
      ++fired;
      REQUIRE(f.expiry <= now);
    });
    std::size_t left = 0;
    for (const auto& u : timers) {
      if (!timer_wheel::linked(*u)) continue;
      ++left;
      REQUIRE(u->expiry > now - tick);
    }
    REQUIRE(w.size() == left);
  }
  CHECK(fired > 1000);
}
