// SPDX-License-Identifier: BSD-2-Clause
#include "base/mapped_twice.hpp"

#ifdef KFX_TSAN

#include <sanitizer/tsan_interface.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>

namespace kfx::base {
namespace {

struct range {
  std::uintptr_t end;
  std::uint64_t file;
};

struct ranges {
  std::mutex mutex;
  std::map<std::uintptr_t, range> by_begin;
};

ranges& all() {
  static auto* r = new ranges;
  return *r;
}

/// Stands for a word wherever it is mapped. Words that share one by chance are taken for ordered, no more.
void* stand_in(const void* word) {
  static std::array<char, 1u << 16> cells;
  const auto at = reinterpret_cast<std::uintptr_t>(word);
  const std::lock_guard guard(all().mutex);
  auto after = all().by_begin.upper_bound(at);
  if (after == all().by_begin.begin()) return nullptr;
  const auto& [begin, r] = *--after;
  if (at >= r.end) return nullptr;
  const std::uint64_t mixed = (r.file * 0x9e3779b97f4a7c15u) ^ ((at - begin) * 0xc2b2ae3d27d4eb4fu);
  return &cells[(mixed >> 40) % cells.size()];
}

}  // namespace

void mapped(const void* begin, std::size_t bytes, int fd) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return;
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  const std::lock_guard guard(all().mutex);
  all().by_begin[at] = {at + bytes, st.st_ino};
}

void unmapped(const void* begin) noexcept {
  const std::lock_guard guard(all().mutex);
  all().by_begin.erase(reinterpret_cast<std::uintptr_t>(begin));
}

void releases(const void* word) noexcept {
  if (void* s = stand_in(word)) __tsan_release(s);
}
void acquires(const void* word) noexcept {
  if (void* s = stand_in(word)) __tsan_acquire(s);
}

}  // namespace kfx::base

#endif
