// SPDX-License-Identifier: BSD-2-Clause
// What node::allocate hands out: each buffer alone in a sealed file, found by address, gone when nobody needs it.
#include "memory/slab.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "kfx/kfx.hpp"
#include "numa/memory_policy.hpp"
#include "numa/topology.hpp"
#include "support/open_files.hpp"

using kfx::memory::slab;
using kfx::memory::slab_of;
using kfx::test::open_files;

namespace {

bool all_zero(const std::byte* p, std::size_t n) {
  return std::all_of(p, p + n, [](std::byte b) { return b == std::byte{}; });
}

/// Lowers a limit and puts it back.
class limited {
 public:
  limited(__rlimit_resource what, rlim_t to) : what_(what) {
    ::getrlimit(what, &old_);
    const rlimit fresh{to, old_.rlim_max};
    ::setrlimit(what, &fresh);
  }
  ~limited() { ::setrlimit(what_, &old_); }

 private:
  const __rlimit_resource what_;
  rlimit old_{};
};

}  // namespace

TEST_CASE("another mapping of the descriptor shows the same bytes, at the offset of their address") {
  const auto s = slab::make({300000});
  REQUIRE(s->fd() >= 0);
  CHECK(s->size() % s->page_size() == 0);
  CHECK(all_zero(s->data(), s->size()));
  CHECK(reinterpret_cast<std::uintptr_t>(s->data()) % s->page_size() == 0);
  std::memcpy(s->data() + 200001, "there", 5);
  const auto place = slab_of(s->data() + 200001);
  REQUIRE(place);
  CHECK(place->offset == 200001);
  CHECK(place->keep == s);
  void* other = ::mmap(nullptr, s->size(), PROT_READ, MAP_SHARED, place->fd, 0);
  REQUIRE(other != MAP_FAILED);
  CHECK(std::memcmp(static_cast<char*>(other) + place->offset, "there", 5) == 0);
  ::munmap(other, s->size());
}

TEST_CASE("who has the descriptor can neither shrink nor grow the file, and seal it further") {
  const auto s = slab::make({10000});
  CHECK(::ftruncate(s->fd(), 4096) == -1);
  CHECK(::ftruncate(s->fd(), 1 << 20) == -1);
  CHECK((::fcntl(s->fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::fcntl(s->fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
  s->data()[9999] = std::byte{1};  // its own mapping goes on
  CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd(), 0) == MAP_FAILED);
}

TEST_CASE("each buffer has a file of its own, and gives it back") {
  const std::size_t before = open_files();
  {
    const auto a = slab::make({1});
    const auto b = slab::make({1});
    CHECK(open_files() == before + 2);
    CHECK(slab_of(a->data())->fd != slab_of(b->data())->fd);
    CHECK(slab_of(a->data() + a->size() - 1)->keep == a);
  }
  CHECK(open_files() == before);
  CHECK(kfx::memory::slab_descriptors() == 0);
}

TEST_CASE("whoever found a slab keeps it") {
  auto s = slab::make({70000});
  s->data()[5] = std::byte{42};
  const std::byte* const at = s->data() + 5;
  auto place = slab_of(at);
  s.reset();
  REQUIRE(slab_of(at));
  CHECK(*at == std::byte{42});
  place.reset();
  CHECK_FALSE(slab_of(at));
}

TEST_CASE("what is no slab's is found in none") {
  const auto s = slab::make({5000});
  int local = 0;
  CHECK_FALSE(slab_of(&local));
  CHECK_FALSE(slab_of(nullptr));
  CHECK_FALSE(slab_of(s->data() - 1));
  const auto behind = slab_of(s->data() + s->size());
  CHECK((!behind || behind->keep != s));
}

TEST_CASE("without descriptors to spare it is memory all the same") {
  const limited files(RLIMIT_NOFILE, 64);
  std::vector<std::shared_ptr<slab>> small, large;
  for (int i = 0; i < 100; ++i) small.push_back(slab::make({4096}));
  for (int i = 0; i < 100; ++i) large.push_back(slab::make({64 * 1024}));
  const auto with_file = [](const auto& s) { return s->fd() >= 0; };
  CHECK(std::count_if(small.begin(), small.end(), with_file) == 64 / 8);
  CHECK(std::count_if(large.begin(), large.end(), with_file) == 64 / 2 - 64 / 8);
  const int own = ::dup(0);  // the rest is the program's
  CHECK(own >= 0);
  ::close(own);
  const auto& alone = *small.back();
  CHECK(alone.fd() == -1);
  CHECK(all_zero(alone.data(), alone.size()));
  CHECK_FALSE(slab_of(alone.data()));
  small.clear();
  CHECK(slab::make({4096})->fd() == -1);  // large ones hold more than small ones may
  large.clear();
  CHECK(slab::make({4096})->fd() >= 0);
}

TEST_CASE("a limit on the size of files ends nobody") {
  const limited size(RLIMIT_FSIZE, 1 << 20);
  const auto s = slab::make({4 << 20});
  CHECK(s->fd() == -1);
  std::memset(s->data(), 1, s->size());
}

TEST_CASE("more than there can be is refused with a sentence") {
  for (const std::size_t n : {SIZE_MAX, SIZE_MAX / 2, std::size_t{1} << 46}) {
    try {
      (void)slab::make({n});
      FAIL("made " << n);
    } catch (const kfx::error& e) {
      CHECK(e.code() == kfx::errc::out_of_resources);
      CHECK(std::string(e.what()).find(std::to_string(n)) != std::string::npos);
    }
  }
  CHECK(kfx::memory::slab_descriptors() == 0);
}

TEST_CASE("a node that does not exist is a wish that is not met") {
  const auto s = slab::make({100000, 4711});
  CHECK(s->numa_node() == -1);
  CHECK(s->fd() >= 0);
}

TEST_CASE("pages come from the node asked for") {
  for (const auto& n : kfx::numa::machine().nodes) {
    for (const std::size_t bytes : {std::size_t{4096}, std::size_t{4} << 20}) {
      const auto s = slab::make({bytes, n.number});
      if (s->numa_node() < 0) {
        WARN("this process may not place memory on node " << n.number << ", or there is no hwloc");
        continue;
      }
      std::memset(s->data(), 1, s->size());
      CHECK(kfx::numa::node_of_page(s->data()) == n.number);
      CHECK(kfx::numa::node_of_page(s->data() + s->size() - 1) == n.number);
    }
  }
}

TEST_CASE("random allocations, look-ups and releases by several threads agree with a model") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::atomic<int> wrong{0};
  const auto work = [&](unsigned own) {
    std::mt19937 rng(own);
    std::vector<std::shared_ptr<slab>> mine;
    for (int i = 0; i < 500; ++i) {
      if (mine.size() < 20 && rng() % 2) {
        mine.push_back(slab::make({std::size_t{1} << rng() % 19}));
        std::memset(mine.back()->data(), static_cast<int>(own), mine.back()->size());
      } else if (!mine.empty()) {
        auto& s = mine[rng() % mine.size()];
        const std::size_t at = rng() % s->size();
        const auto place = slab_of(s->data() + at);
        if (s->fd() >= 0 ? !place || place->keep != s || place->offset != at : place.has_value()) ++wrong;
        if (s->data()[at] != static_cast<std::byte>(own)) ++wrong;
        if (rng() % 2) {
          std::swap(s, mine.back());
          mine.pop_back();
        }
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) threads.emplace_back(work, (seed + t) | 1);
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(kfx::memory::slab_descriptors() == 0);
}

TEST_CASE("a buffer moves, and outlives its node") {
  kfx::buffer b;
  {
    kfx::node n({.progress = kfx::progress::caller});
    kfx::buffer first = n.allocate(12345);
    b = std::move(first);
    CHECK(first.size() == 0);
    CHECK(n.allocate(0).size() == 0);
  }
  REQUIRE(b.size() == 12345);
  std::memset(b.data(), 7, b.size());
  CHECK(slab_of(b.data()));
}
