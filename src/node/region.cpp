// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/region.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "kfx/node.hpp"
#include "memory/region_state.hpp"

namespace kfx {

region::region() = default;
region::region(std::shared_ptr<detail::region_state> s) noexcept : s_(std::move(s)) {}
region::region(region&&) noexcept = default;

region& region::operator=(region&& o) noexcept {
  if (this != &o) {
    region old(std::move(*this));  // revoked at the end of this scope
    s_ = std::move(o.s_);
  }
  return *this;
}

region::~region() {
  if (!s_ || !s_->revoke) return;
  const auto revoke = std::exchange(s_->revoke, nullptr);
  revoke(*s_);
}

mutable_buffer region::memory() const noexcept { return s_ ? s_->memory : mutable_buffer(); }
access region::rights() const noexcept { return s_ ? s_->rights : access::read; }

remote_region region::token() const noexcept {
  if (!s_) return {};
  remote_region::fields f;
  f.key = s_->key;
  f.incarnation = s_->incarnation;
  f.length = s_->memory.size();
  f.flags = static_cast<std::uint16_t>(s_->rights);
  return remote_region(f);
}

namespace detail {

/// Pages of the system, given back by the last buffer that refers to them.
struct allocation {
  std::byte* data = nullptr;
  std::size_t size = 0;  ///< asked for
  std::size_t mapped = 0;

  allocation(std::byte* d, std::size_t s, std::size_t m) : data(d), size(s), mapped(m) {}
  allocation(const allocation&) = delete;
  allocation& operator=(const allocation&) = delete;
  ~allocation() { ::munmap(data, mapped); }
};

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = 2u << 20;

std::byte* map(std::size_t bytes, int flags) {
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
}

std::shared_ptr<allocation> allocate(std::size_t bytes, const placement& where) {
  const bool huge = where.huge_pages && bytes >= huge_page;
  const std::size_t unit = huge ? huge_page : page;
  if (bytes > SIZE_MAX - unit)
    throw error(errc::out_of_resources, "cannot allocate " + std::to_string(bytes) + " bytes: no system has so much");
  const std::size_t mapped = bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
  std::byte* data = huge ? map(mapped, MAP_HUGETLB) : nullptr;
  if (!data) {
    data = map(mapped, 0);
    // A hint; small pages do as well.
    if (data && huge) (void)::madvise(data, mapped, MADV_HUGEPAGE);
  }
  if (!data)
    throw error(errc::out_of_resources, "cannot allocate " + std::to_string(bytes) +
                                            " bytes: " + std::generic_category().message(errno) +
                                            "; free some memory or raise the limit (ulimit -v, cgroup)");
  return std::make_shared<allocation>(data, bytes, mapped);
}

}  // namespace
}  // namespace detail

buffer::buffer(std::shared_ptr<detail::allocation> a) noexcept : a_(std::move(a)), data_(a_->data), size_(a_->size) {}

buffer node::allocate(std::size_t bytes, const placement& where) { return buffer(detail::allocate(bytes, where)); }

}  // namespace kfx
