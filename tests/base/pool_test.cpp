// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "base/block_pool.hpp"
#include "base/mpsc_stack.hpp"
#include "kfx/detail/op_state.hpp"
#include "seed.hpp"

using kfx::base::block_pool;
using kfx::base::mpsc_stack;
using kfx::base::object_pool;

TEST_CASE("blocks are aligned, apart, and found by index and pointer", "[pool]") {
  const auto [size, align] =
      GENERATE(std::pair<std::size_t, std::size_t>{1, 1}, std::pair<std::size_t, std::size_t>{24, 8},
               std::pair<std::size_t, std::size_t>{256, 64}, std::pair<std::size_t, std::size_t>{300, 128},
               std::pair<std::size_t, std::size_t>{4096, 4096}, std::pair<std::size_t, std::size_t>{65536, 64});
  block_pool pool(size, align);
  CHECK(pool.capacity() == 0);
  CHECK(pool.at(0) == nullptr);
  std::vector<std::byte*> blocks;
  std::set<std::uint32_t> indices;
  const std::size_t count = size > 4000 ? 150 : 3000;
  for (std::size_t i = 0; i < count; ++i) {
    auto* p = static_cast<std::byte*>(pool.allocate());
    REQUIRE(p);
    REQUIRE(reinterpret_cast<std::uintptr_t>(p) % align == 0);
    std::memset(p, static_cast<int>(i & 0xff), size);
    blocks.push_back(p);
    const auto index = pool.index_of(p);
    REQUIRE(index < (1u << 24));
    REQUIRE(indices.insert(index).second);
    REQUIRE(pool.at(index) == p);
  }
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t b : {std::size_t{0}, size / 2, size - 1})
      REQUIRE(std::to_integer<std::size_t>(blocks[i][b]) == (i & 0xff));
  const std::size_t capacity = pool.capacity();
  CHECK(capacity >= count);
  for (auto* p : blocks) pool.free(p);
  // What is there is used before there is more.
  for (std::size_t i = 0; i < capacity; ++i) REQUIRE(pool.allocate());
  CHECK(pool.capacity() == capacity);
  REQUIRE(pool.allocate());
  CHECK(pool.capacity() > capacity);
}

TEST_CASE("a pool ends at its limit, and looking up any number is safe", "[pool]") {
  block_pool pool(256, 64, 8192);
  std::vector<void*> blocks;
  while (void* p = pool.allocate()) blocks.push_back(p);
  CHECK(blocks.size() == pool.max_capacity());
  CHECK(blocks.size() <= 8192);
  CHECK(blocks.size() > 7000);
  std::size_t found = 0;
  for (std::uint32_t i = 0; i < 20000; ++i) found += pool.at(i) != nullptr;
  CHECK(found == blocks.size());
  for (std::uint32_t i : {1u << 24, 0x7fffffffu, 0xffffffffu, block_pool::no_index}) CHECK(pool.at(i) == nullptr);
  pool.free(blocks.back());
  CHECK(pool.allocate() == blocks.back());
  CHECK(pool.allocate() == nullptr);
}

namespace {
struct counted {
  static inline int alive = 0;
  std::uint32_t index = 0;
  std::uint64_t generation = 0;
  counted() noexcept { ++alive; }
  ~counted() { --alive; }
};
}  // namespace

TEST_CASE("objects are made once and keep what their last user left", "[pool]") {
  {
    object_pool<counted> pool(1u << 24, [](counted& c, std::uint32_t index) { c.index = index; });
    counted* c = pool.allocate();
    REQUIRE(c);
    CHECK(counted::alive == static_cast<int>(pool.capacity()));
    CHECK(c->index == pool.index_of(c));
    CHECK(pool.at(c->index) == c);
    c->generation = 17;
    pool.free(c);
    CHECK(c->generation == 17);
    CHECK(pool.allocate() == c);
    CHECK(c->generation == 17);
    std::size_t visited = 0;
    pool.for_each([&](counted&) { ++visited; });
    CHECK(visited == pool.capacity());
  }
  CHECK(counted::alive == 0);
}

TEST_CASE("threads never hold the same block", "[pool][threads]") {
  const std::uint64_t seed = kfx_test::seed("pool threads");
  INFO("KFX_TEST_SEED=" << seed);
  // Non-atomic owners: a block in two hands is a race that the sanitizer sees, and mostly the check, too.
  struct block {
    std::uint64_t owner = 0;
  };
  object_pool<block> pool;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t who = 1; who <= 4; ++who)
    threads.emplace_back([&, who] {
      kfx_test::rng r(seed + who);
      std::vector<block*> held;
      for (int i = 0; i < 40000; ++i) {
        if (held.empty() || (held.size() < 2000 && kfx_test::below(r, 2))) {
          block* b = pool.allocate();
          if (!b || b->owner != 0 || pool.at(pool.index_of(b)) != b) {
            ++wrong;
            continue;
          }
          b->owner = who;
          held.push_back(b);
        } else {
          std::swap(held[kfx_test::below(r, held.size())], held.back());
          wrong += held.back()->owner != who;
          held.back()->owner = 0;
          pool.free(held.back());
          held.pop_back();
        }
      }
      for (block* b : held) {
        b->owner = 0;
        pool.free(b);
      }
    });
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
  std::set<block*> all;
  for (std::size_t i = 0; i < pool.capacity(); ++i) all.insert(pool.allocate());
  CHECK(all.size() == pool.capacity());
  CHECK(all.count(nullptr) == 0);
}

namespace {
struct item {
  std::atomic<item*> next{nullptr};
  int who = 0;
  int number = 0;
};
using stack = mpsc_stack<item, &item::next>;
}  // namespace

TEST_CASE("what was pushed comes out oldest first", "[mpsc]") {
  stack s;
  CHECK(s.empty());
  CHECK(s.take_all() == nullptr);
  item items[3];
  CHECK(s.push(&items[0]));
  CHECK_FALSE(s.push(&items[1]));
  CHECK_FALSE(s.push(&items[2]));
  CHECK_FALSE(s.empty());
  item* i = s.take_all();
  CHECK(i == &items[0]);
  CHECK(stack::next(i) == &items[1]);
  CHECK(stack::next(stack::next(i)) == &items[2]);
  CHECK(stack::next(&items[2]) == nullptr);
  CHECK(s.empty());
  CHECK(s.push(&items[1]));
  CHECK(s.take_all() == &items[1]);
  CHECK(stack::next(&items[1]) == nullptr);
}

TEST_CASE("many push and one takes: nothing is lost, doubled or out of order", "[mpsc][threads]") {
  constexpr int pushers = 3, each = 30000;
  std::vector<std::vector<item>> items(pushers);
  for (auto& v : items) v = std::vector<item>(each);
  stack s;
  std::atomic<int> was_empty{0};
  std::vector<std::thread> threads;
  for (int who = 0; who < pushers; ++who)
    threads.emplace_back([&, who] {
      for (int n = 0; n < each; ++n) {
        items[static_cast<std::size_t>(who)][static_cast<std::size_t>(n)].who = who;
        items[static_cast<std::size_t>(who)][static_cast<std::size_t>(n)].number = n;
        was_empty += s.push(&items[static_cast<std::size_t>(who)][static_cast<std::size_t>(n)]);
      }
    });
  int expected[pushers] = {};
  int taken = 0, bursts = 0, wrong = 0;
  while (taken < pushers * each) {
    item* i = s.take_all();
    if (!i) {
      std::this_thread::yield();
      continue;
    }
    ++bursts;
    while (i) {
      item* next = stack::next(i);
      wrong += i->number != expected[i->who]++;
      ++taken;
      i = next;
    }
  }
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(s.empty());
  // Exactly the first push after each emptying says so: a sleeper is woken once a burst.
  CHECK(was_empty == bursts);
}

TEST_CASE("op_state fits both", "[pool][mpsc]") {
  using kfx::detail::op_state;
  object_pool<op_state> pool(1u << 24, [](op_state& s, std::uint32_t index) { s.id = index; });
  mpsc_stack<op_state, &op_state::next> queue;
  op_state* s = pool.allocate();
  REQUIRE(s);
  CHECK(s->index() == pool.index_of(s));
  CHECK(queue.push(s));
  CHECK(queue.take_all() == s);
  CHECK(kfx::detail::from_timer(&s->timer) == s);
}
