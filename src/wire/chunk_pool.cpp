// SPDX-License-Identifier: BSD-2-Clause
#include "wire/chunk_pool.hpp"

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace kfx::wire {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KFX_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define KFX_ASAN
#endif

// One list a thread: no lock, and chunks stay on the NUMA node of the engine that uses them.
#if defined(KFX_ASAN)
constexpr int max_kept = 0, max_common = 0;  // so that the sanitizer sees who uses a chunk after giving it back
#else
constexpr int max_kept = 4, max_common = 64;
#endif

// Outlives `keeper`: links that end after the thread's keeper is gone go straight to the system.
thread_local constinit bool keeper_gone = false;

struct chunk_list {
  std::byte* first = nullptr;  // each chunk begins with the pointer to the next
  int count = 0;

  void push(std::byte* chunk) noexcept {
    std::memcpy(chunk, &first, sizeof first);
    first = chunk;
    ++count;
  }
  std::byte* pop() noexcept {
    std::byte* chunk = first;
    std::memcpy(&first, chunk, sizeof first);
    --count;
    return chunk;
  }
};

// Where threads take turns with a link, one takes chunks and another one gives them back: what is too much for one
// goes to the other through here.
struct {
  std::mutex mutex;
  chunk_list list;
} common;

std::byte* from_common() noexcept {
  std::lock_guard lock(common.mutex);
  return common.list.first ? common.list.pop() : nullptr;
}

bool to_common(std::byte* chunk) noexcept {
  std::lock_guard lock(common.mutex);
  if (common.list.count >= max_common) return false;
  common.list.push(chunk);
  return true;
}

struct keeper : chunk_list {
  ~keeper() {
    keeper_gone = true;
    while (first) std::free(pop());
  }
};
thread_local keeper kept;

}  // namespace

std::byte* acquire_chunk() noexcept {
  if (!keeper_gone && kept.first) return kept.pop();
  if (std::byte* chunk = from_common()) return chunk;
  return static_cast<std::byte*>(std::aligned_alloc(64, chunk_size));
}

void release_chunk(std::byte* chunk) noexcept {
  if (!chunk) return;
  if (!keeper_gone && kept.count < max_kept) {
    kept.push(chunk);
  } else if (!to_common(chunk)) {
    std::free(chunk);
  }
}

}  // namespace kfx::wire
