// SPDX-License-Identifier: BSD-2-Clause
#include "memory/slab.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "kfx/error.hpp"
#include "numa/memory_policy.hpp"

namespace kfx::memory {
namespace {

constexpr std::size_t small_page = 4096;
constexpr std::size_t huge_page = 2u << 20;
constexpr unsigned huge_page_flag = 21u << 26;  // MFD_HUGE_2MB, which only newer headers have
constexpr int populate_write = 23;              // MADV_POPULATE_WRITE, the same
constexpr std::size_t large_buffer = 64 * 1024;

/// Of the process, and never destroyed: buffers may outlive everything.
struct directory {
  std::shared_mutex mutex;
  std::map<const std::byte*, slab*> by_end;  // one behind the last byte, so that upper_bound finds the slab around
  std::atomic<std::size_t> files{0};
  std::atomic<std::uint64_t> serials{0};
};

directory& all() {
  static auto* d = new directory;
  return *d;
}

std::size_t round_up(std::size_t bytes, std::size_t page) { return std::max(page, (bytes + page - 1) / page * page); }

/// Takes a descriptor from what buffers may have of them: half of what the process may open for large ones, an eighth
/// for small ones, which move as well through a ring. The program and its connections need the rest.
bool take_descriptor(std::size_t bytes) noexcept {
  rlimit limit{};
  // A file beyond that limit is answered by a signal that ends the process.
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || round_up(bytes, huge_page) > limit.rlim_cur) return false;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const std::size_t most = limit.rlim_cur / (bytes >= large_buffer ? 2 : 8);
  std::size_t now = all().files.load(std::memory_order_relaxed);
  do
    if (now >= most) return false;
  while (!all().files.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  return true;
}

void give_descriptor_back() noexcept { all().files.fetch_sub(1, std::memory_order_relaxed); }

/// What no amount of swapping could hold is refused before pages are taken: taking them would have others killed.
bool could_ever_fit(std::size_t bytes) noexcept {
  struct sysinfo s {};
  if (::sysinfo(&s) != 0) return true;
  return bytes / s.mem_unit < s.totalram + s.totalswap;
}

std::string no_memory(int code) {
  return std::generic_category().message(code) + "; free some memory or raise the limit (ulimit -v, cgroup)";
}

[[noreturn]] void refuse(std::size_t bytes, const std::string& why) {
  throw error(errc::out_of_resources, "cannot allocate " + std::to_string(bytes) + " bytes: " + why);
}

}  // namespace

std::shared_ptr<slab> slab::make(const wish& w) {
  if (w.bytes > SIZE_MAX - huge_page || !could_ever_fit(w.bytes))
    refuse(w.bytes, "that is more than this system has in memory and swap");
  const std::shared_ptr<slab> s(new slab);
  s->asked_ = w.bytes;
  s->serial_ = ++all().serials;
  bool made = false;
  if (take_descriptor(w.bytes)) {
    const bool huge = w.huge_pages && w.bytes >= huge_page;
    made = (huge && s->make_file(w.bytes, huge_page, w.numa_node)) || s->make_file(w.bytes, small_page, w.numa_node);
    const int why = errno;
    if (!made) give_descriptor_back();
    if (!made && (why == ENOMEM || why == ENOSPC)) refuse(w.bytes, no_memory(why));
  }
  if (!made) s->make_anonymous(w);
  directory& d = all();
  std::lock_guard lock(d.mutex);
  d.by_end.emplace(s->data_ + s->size_, s.get());
  return s;
}

/// False: it cannot be had that way (errno), and nothing is left of the attempt.
bool slab::make_file(std::size_t bytes, std::size_t page, int numa_node) {
  const unsigned kind = page == huge_page ? unsigned{MFD_HUGETLB} | huge_page_flag : 0u;
  size_ = round_up(bytes, page);
  page_size_ = page;
  fd_ = ::memfd_create("kfx", MFD_CLOEXEC | MFD_ALLOW_SEALING | kind);
  // Who is handed a read-only descriptor of it cannot open it anew for writing, not even the same user.
  if (fd_ >= 0 && ::fchmod(fd_, S_IRUSR) == 0 && ::ftruncate(fd_, static_cast<off_t>(size_)) == 0 &&
      ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0 && map(MAP_SHARED)) {
    place(numa_node);
    if (page == small_page && bytes >= huge_page) (void)::madvise(data_, size_, MADV_HUGEPAGE);  // a hint
    if (commit()) return true;
  }
  const int why = errno;
  clear();
  errno = why;
  return false;
}

/// Pages that nobody else can be given; the last resort, so its failure is final.
void slab::make_anonymous(const wish& w) {
  size_ = round_up(w.bytes, small_page);
  page_size_ = small_page;
  if (!map(MAP_PRIVATE | MAP_ANONYMOUS)) {
    const int why = errno;
    clear();
    refuse(w.bytes, no_memory(why));
  }
  place(w.numa_node);
  if (w.huge_pages && w.bytes >= huge_page) (void)::madvise(data_, size_, MADV_HUGEPAGE);
}

bool slab::map(int flags) {
  void* p = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, flags, fd_, 0);
  data_ = p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
  return data_ != nullptr;
}

void slab::place(int numa_node) noexcept {
  if (numa_node >= 0 && numa::prefer_node(data_, size_, numa_node)) numa_node_ = numa_node;
}

/// In steps, because a signal undoes a step.
bool slab::commit() noexcept {
  // Huge pages are taken where the mapping's policy says only when the mapping is touched (since Linux 5.14 without a
  // signal when there are none).
  if (page_size_ == huge_page) {
    int failed;
    do failed = ::madvise(data_, size_, populate_write);
    while (failed && errno == EINTR);
    if (!failed || errno != EINVAL) return !failed;
  }
  constexpr std::size_t step = 8 * huge_page;
  for (std::size_t at = 0; at < size_;) {
    const std::size_t n = std::min(step, size_ - at);
    if (::fallocate(fd_, 0, static_cast<off_t>(at), static_cast<off_t>(n)) == 0)
      at += n;
    else if (errno != EINTR)
      return false;
  }
  return true;
}

void slab::clear() noexcept {
  if (data_) ::munmap(data_, size_);
  if (fd_ >= 0) ::close(fd_);
  data_ = nullptr;
  fd_ = -1;
  numa_node_ = -1;
}

slab::~slab() {
  if (!data_) return;
  directory& d = all();
  {
    std::lock_guard lock(d.mutex);
    d.by_end.erase(data_ + size_);
  }
  {
    std::lock_guard lock(mutex_);
    tell_watchers();
    give_spare_back();
  }
  if (fd_ >= 0) give_descriptor_back();
  clear();
}

std::optional<slab_place> slab_of(const void* address) {
  directory& d = all();
  if (d.files.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const auto* at = static_cast<const std::byte*>(address);
  std::shared_lock lock(d.mutex);
  const auto found = d.by_end.upper_bound(at);
  if (found == d.by_end.end() || at < found->second->data() || found->second->fd() < 0) return std::nullopt;
  std::shared_ptr<slab> keep = found->second->weak_from_this().lock();
  if (!keep) return std::nullopt;  // its last user is just letting go of it
  if (keep->separated()) return std::nullopt;
  const auto offset = static_cast<std::size_t>(at - keep->data());
  return slab_place{keep->fd(), offset, std::move(keep)};
}

std::size_t slab_descriptors() noexcept { return all().files.load(std::memory_order_relaxed); }

}  // namespace kfx::memory
