// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How memory is taken back from a process that stopped in the middle of an access to its file.
///
/// The range is mapped anew over itself, as a private mapping of the same file: one system call that other threads see
/// as nothing at all, because a private page is the file's until it is written. Then each page is written with what
/// it holds, so that the kernel copies it. A store of this process before, during or after that goes to the page that
/// is its memory at that moment, and none is lost; that would not be so if the bytes were copied here.

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "memory/slab.hpp"
#include "numa/memory_policy.hpp"

namespace kfx::memory {
namespace {

constexpr std::size_t ordinary_page = 4096;

/// Writes each page with what it holds.
void make_own(std::byte* from, std::size_t bytes, std::size_t page) noexcept {
#ifdef MADV_POPULATE_WRITE
  if (::madvise(from, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  for (std::byte* p = from; p < from + bytes; p += page) {
    auto* word = reinterpret_cast<std::uint64_t*>(p);
    std::uint64_t v = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &v, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
}

}  // namespace

void slab::watch(const std::weak_ptr<watcher>& w) {
  std::lock_guard lock(mutex_);
  const auto gone = [](const std::weak_ptr<watcher>& x) { return x.expired(); };
  watchers_.erase(std::remove_if(watchers_.begin(), watchers_.end(), gone), watchers_.end());
  watchers_.push_back(w);
}

void slab::tell_watchers() noexcept {
  for (const std::weak_ptr<watcher>& w : watchers_)
    if (const auto there = w.lock()) there->file_lost(serial_);
  watchers_.clear();
}

/// A range as long as one access touches two huge pages at most.
std::size_t slab::spare_bytes() const noexcept { return std::min(size_, 2 * page_size_); }

bool slab::can_be_handed_out() noexcept {
  if (fd_ < 0 || separated()) return false;
  if (page_size_ == ordinary_page) return true;
  std::lock_guard lock(mutex_);
  if (spare_) return true;
  constexpr unsigned size_2mb = 21u << 26;
  void* p = ::mmap(nullptr, spare_bytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | static_cast<int>(size_2mb), -1, 0);
  if (p == MAP_FAILED) return false;
  spare_ = p;
  return true;
}

void slab::give_spare_back() noexcept {
  if (spare_) ::munmap(spare_, spare_bytes());
  spare_ = nullptr;
}

bool slab::separate(std::size_t offset, std::size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  separated_.store(true);
  // First they, then the pages: what somebody else completed until now is in the file, and is copied.
  tell_watchers();
  // What a processor of theirs still had in its store buffer is there as well, or sees that it was told.
  (void)::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
  if (offset >= size_) return true;
  const std::size_t begin = offset / page_size_ * page_size_;
  const std::size_t end = std::min(size_, (offset + std::min(bytes, size_) + page_size_ - 1) / page_size_ * page_size_);
  give_spare_back();
  for (std::size_t at = begin; at < end;) {
    // What is separate already is not mapped over: that would bring back what the file holds.
    const auto run_end = std::find_if(own_.begin(), own_.end(), [&](const range& r) { return r.end > at; });
    if (run_end != own_.end() && run_end->begin <= at) {
      at = run_end->end;
      continue;
    }
    const std::size_t until = run_end == own_.end() ? end : std::min(end, run_end->begin);
    if (!separate_pages({at, until})) return false;
    at = until;
  }
  return true;
}

bool slab::separate_pages(range r) noexcept {
  const std::size_t bytes = r.end - r.begin;
  try {
    own_.reserve(own_.size() + 1);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (::mmap(data_ + r.begin, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd_,
             static_cast<off_t>(r.begin)) == MAP_FAILED)
    return false;
  const auto behind = std::find_if(own_.begin(), own_.end(), [&](const range& o) { return o.begin > r.begin; });
  own_.insert(behind, r);
  if (numa_node_ >= 0) (void)numa::prefer_node(data_ + r.begin, bytes, numa_node_);
  make_own(data_ + r.begin, bytes, page_size_);
  return true;
}

}  // namespace kfx::memory
