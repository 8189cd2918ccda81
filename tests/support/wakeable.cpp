// SPDX-License-Identifier: BSD-2-Clause
#include "support/wakeable.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <system_error>
#include <vector>

#include "support/faults.hpp"

namespace kfx::test {
namespace {

struct all_links {
  std::mutex lock;
  std::vector<std::weak_ptr<wakeable>> list;

  static all_links& instance() {
    static all_links& links = *new all_links;  // outlives links of static storage
    return links;
  }

  unsigned cut(std::string_view kind, std::string_view name) {
    const std::lock_guard guard(lock);
    unsigned count = 0;
    for (const auto& weak : list) {
      const auto link = weak.lock();
      if (!link || link->is_cut()) continue;
      if (!kind.empty() && link->kind != kind) continue;
      if (link->address.find(name) == std::string::npos) continue;
      link->cut();
      ++count;
    }
    return count;
  }
};

}  // namespace

std::shared_ptr<wakeable> wakeable::make(std::string kind, std::string address) {
  auto made = std::make_shared<wakeable>(std::move(kind), std::move(address));
  all_links& links = all_links::instance();
  const std::lock_guard guard(links.lock);
  std::erase_if(links.list, [](const auto& weak) { return weak.expired(); });
  links.list.push_back(made);
  return made;
}

wakeable::wakeable(std::string kind_, std::string address_)
    : kind(std::move(kind_)),
      address(std::move(address_)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event always{};
  always.events = EPOLLIN;
  if (epoll_ < 0 || event_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &always) != 0)
    throw std::system_error(errno, std::generic_category(), "a test link needs two descriptors");
}

wakeable::~wakeable() {
  ::close(epoll_);
  ::close(event_);
}

void wakeable::cut() noexcept {
  cut_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
}

backend::wait_handle wakeable::wrap(backend::wait_handle inner) noexcept {
  if (inner.fd < 0) return inner;
  if (inner_ >= 0 && inner_ != inner.fd) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, inner_, nullptr);
  inner_ = inner.fd;
  epoll_event wanted{};
  if (inner.readable) wanted.events |= EPOLLIN;
  if (inner.writable) wanted.events |= EPOLLOUT;
  // A descriptor that was closed and opened again since is known by number only.
  if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, inner_, &wanted) != 0 &&
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, inner_, &wanted) != 0)
    return {};  // nothing to sleep on: poll again
  return {epoll_, true, false};
}

unsigned faults::cut_all(std::string_view name) { return all_links::instance().cut({}, name); }
unsigned sim::cut(std::string_view name) { return all_links::instance().cut("sim", name); }

}  // namespace kfx::test
