// SPDX-License-Identifier: BSD-2-Clause
#include "node/ticker.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "base/asymmetric_fence.hpp"
#include "kfx/error.hpp"

namespace kfx::node_detail {
namespace {

constexpr std::chrono::milliseconds shortest(5);
/// How long a handler may block before its engine thread is replaced; see engine::partition::watch.
constexpr long watch_interval_ns = 5'000'000;

int make_timer() {
  const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0)
    throw error(errc::out_of_resources, "a node needs a timer, and the system refused the descriptor (" +
                                            std::generic_category().message(errno) +
                                            "); raise the limit of open files (ulimit -n)");
  return fd;
}

}  // namespace

ticker::ticker(boost::asio::io_context& io, std::function<std::chrono::nanoseconds()> tick, std::function<bool()> watch)
    : io_(io),
      tick_(std::move(tick)),
      watch_(std::move(watch)),
      timer_(io),
      watch_timer_(io, make_timer()),
      watch_fd_(watch_timer_.native_handle()) {
  wait_for_watch();
}

void ticker::want_ticks() {
  if (soon_.exchange(true)) return;
  boost::asio::post(io_, [this] { arm(shortest); });
}

void ticker::arm(std::chrono::nanoseconds in) {
  if (stopped_) return;
  timer_.expires_after(std::max<std::chrono::nanoseconds>(in, shortest));
  timer_.async_wait([this](boost::system::error_code e) {
    if (!e) tick();
  });
}

void ticker::tick() {
  if (stopped_) return;
  soon_.store(false);
  const std::chrono::nanoseconds next = tick_();
  if (next.count() != 0) arm(next);
}

void ticker::set_watch(bool on) noexcept {
  itimerspec t{};
  if (on) t.it_value.tv_nsec = t.it_interval.tv_nsec = watch_interval_ns;
  ::timerfd_settime(watch_fd_, 0, &t, nullptr);
}

void ticker::watch_handlers() {
  base::light_fence();  // after they were counted
  if (!watching_.load(std::memory_order_relaxed) && !watching_.exchange(true)) set_watch(true);
}

void ticker::wait_for_watch() {
  watch_timer_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code e) {
    if (!e && !stopped_) watched();
  });
}

void ticker::watched() {
  std::uint64_t expirations = 0;
  if (::read(watch_fd_, &expirations, sizeof expirations) > 0 && !watch_()) {
    set_watch(false);
    watching_.store(false);
    base::heavy_fence();
    // Handlers that began meanwhile found the watch on.
    if (watch_() && !watching_.exchange(true)) set_watch(true);
  }
  wait_for_watch();
}

void ticker::stop() {
  stopped_ = true;
  timer_.cancel();
  boost::system::error_code ignored;
  watch_timer_.cancel(ignored);
  set_watch(false);
}

}  // namespace kfx::node_detail
