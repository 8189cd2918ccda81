// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Promise 8: in steady state no op allocates, neither on its own side nor on the peer's. Counts malloc and
/// operator new of both nodes' threads, over 10,000 ops of each kind.
///
///     conformance-alloc URI [QUERY]     listens at URI; QUERY goes to the connecting side

#include <malloc.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "kfx/kfx.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KFX_TEST_HOOKED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KFX_TEST_HOOKED 0
#endif
#endif
#ifndef KFX_TEST_HOOKED
#define KFX_TEST_HOOKED 1
#endif

namespace {
/// A sanitizer has an allocator of its own.
constexpr bool hooked = KFX_TEST_HOOKED;
std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};

/// The control thread's ticks cost the same whether there are ops or not.
bool is_control_thread() noexcept {
  static thread_local int known = -1;
  if (known < 0) {
    char name[16] = "";
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    known = std::strcmp(name, "kfx-ctl") == 0 ? 1 : 0;
  }
  return known == 1;
}

[[maybe_unused]] void count() noexcept {
  if (counting.load(std::memory_order_relaxed) && !is_control_thread())
    allocations.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

#if KFX_TEST_HOOKED
// These take the place of the C library's for the whole process, shared objects included; operator new calls them.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t n) {
  count();
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  count();
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
  count();
  return __libc_realloc(p, n);
}
void* memalign(std::size_t align, std::size_t n) {
  count();
  return __libc_memalign(align, n);
}
void* aligned_alloc(std::size_t align, std::size_t n) {
  count();
  return __libc_memalign(align, n);
}
}
#endif

namespace {

constexpr std::size_t ops = 10000;
constexpr std::size_t depth = 16;

struct setup {
  kfx::node server;
  kfx::node client;
  std::vector<std::byte> memory = std::vector<std::byte>(1 << 20);
  std::vector<std::byte> local = std::vector<std::byte>(1 << 20);
  kfx::region region;
  kfx::peer peer;
  kfx::remote_region remote;

  setup(const std::string& listen, const std::string& query)
      : server(kfx::options{.listen = {listen}}), client(kfx::options{}) {
    server.on_message([](kfx::message m) {
      if (m.wants_reply()) m.reply(m.header());
    });
    region = server.share(memory, kfx::access::read_write);
    server.publish("memory", region);
    const std::string scheme = listen.substr(0, listen.find("://") + 3);
    for (const std::string& a : server.addresses())
      if (a.starts_with(scheme)) peer = client.at(query.empty() ? a : a + "?" + query);
    remote = peer.open("memory").complete(std::chrono::seconds(30)).value();
  }
};

using op_maker = std::function<kfx::op<kfx::done>(setup&, std::size_t)>;
using callback_maker = void (*)(setup&, std::size_t, std::atomic<std::size_t>&);

/// Ops by handle, `depth` at a time.
bool by_handle(setup& s, const op_maker& make) {
  std::array<kfx::op<kfx::done>, depth> running;
  bool good = true;
  for (std::size_t i = 0; i < ops; ++i) {
    auto& o = running[i % depth];
    if (o.valid()) good = o.complete(std::chrono::seconds(30)).has_value() && good;
    o = make(s, i);
  }
  for (auto& o : running) good = o.complete(std::chrono::seconds(30)).has_value() && good;
  return good;
}

/// Ops by callback, the same.
bool by_callback(setup& s, callback_maker make) {
  std::atomic<std::size_t> ended{0};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto wait_for = [&](std::size_t n) {
    while (ended.load(std::memory_order_acquire) < n) {
      if (std::chrono::steady_clock::now() > end) return false;
      s.client.poll();
    }
    return true;
  };
  for (std::size_t i = 0; i < ops; ++i) {
    if (i >= depth && !wait_for(i - depth + 1)) std::_Exit(1);
    make(s, i, ended);
  }
  return wait_for(ops);
}

/// In a first pass over all kinds of ops pools and rings grow to what these need; the second one counts.
bool first_pass = true;

/// Prints the line of one kind of op; true when nothing was allocated.
template <class F>
bool measure(const char* name, F round) {
  bool good = round() && round();
  if (first_pass) return good;
  allocations = 0;
  counting = true;
  good = good && round();
  counting = false;
  const std::uint64_t made = allocations;
  std::printf("%-28s %8llu allocations in %zu ops%s\n", name, static_cast<unsigned long long>(made), ops,
              good ? "" : ", and ops FAILED");
  return good && made == 0;
}

kfx::const_buffer piece(setup& s, std::size_t i, std::size_t n) {
  return kfx::const_buffer(s.local).subspan(i % depth * (s.local.size() / depth), n);
}
kfx::mutable_buffer sink(setup& s, std::size_t i, std::size_t n) {
  return kfx::mutable_buffer(s.local).subspan(i % depth * (s.local.size() / depth), n);
}

bool handles(setup& s) {
  bool good = true;
  for (const std::size_t n : {std::size_t{8}, std::size_t{4096}, std::size_t{60000}}) {
    const std::string size = std::to_string(n);
    good &= measure(("write " + size).c_str(), [&] {
      return by_handle(s, [n](setup& x, std::size_t i) { return x.peer.write(piece(x, i, n), x.remote.at(0, n)); });
    });
    good &= measure(("read " + size).c_str(), [&] {
      return by_handle(s, [n](setup& x, std::size_t i) { return x.peer.read(sink(x, i, n), x.remote.at(0, n)); });
    });
    good &= measure(("send " + size).c_str(), [&] {
      return by_handle(s, [n](setup& x, std::size_t i) { return x.peer.send(piece(x, i, 16), piece(x, i, n)); });
    });
  }
  good &= measure("call", [&] {
    return by_handle(s, [](setup& x, std::size_t i) {
      return x.peer.send(x.memory.size() ? piece(x, i, 16) : kfx::const_buffer(), {}, {.reply = sink(x, i, 64)});
    });
  });
  return good;
}

bool callbacks(setup& s) {
  bool good = true;
  good &= measure("write 4096, callback", [&] {
    return by_callback(s, [](setup& x, std::size_t i, std::atomic<std::size_t>& ended) {
      x.peer.write(piece(x, i, 4096), x.remote.at(0, 4096), {},
                   [&ended](boost::system::error_code, kfx::done) { ended.fetch_add(1, std::memory_order_release); });
    });
  });
  good &= measure("send 100, callback", [&] {
    return by_callback(s, [](setup& x, std::size_t i, std::atomic<std::size_t>& ended) {
      x.peer.send(piece(x, i, 16), piece(x, i, 100), {},
                  [&ended](boost::system::error_code, kfx::done) { ended.fetch_add(1, std::memory_order_release); });
    });
  });
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: conformance-alloc URI [QUERY]\n");
    return 2;
  }
  if (!hooked) {
    std::printf("skipped: a sanitizer owns the allocator\n");
    return 77;
  }
  setup s(argv[1], argc > 2 ? argv[2] : "");
  bool good = handles(s) && callbacks(s);
  first_pass = false;
  good = good && handles(s);
  good = callbacks(s) && good;
  return good ? 0 : 1;
}
