// SPDX-License-Identifier: BSD-2-Clause
#include "node/peer_events.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace kfx::node_detail {

peer_events::peer_events(bool threaded, std::function<void(const peer&, peer_event)> deliver,
                         std::function<void()> pending)
    : threaded_(threaded), deliver_(std::move(deliver)), pending_(std::move(pending)) {}

peer_events::~peer_events() { stop(); }

void peer_events::push(peer p, peer_event e) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back({std::move(p), e});
    waiting_.store(true, std::memory_order_release);
  }
  if (!threaded_) return pending_();
  if (!pool_) pool_ = std::make_unique<boost::asio::thread_pool>(1);
  boost::asio::post(*pool_, [this] { run(); });
}

std::size_t peer_events::run_all() {
  std::unique_lock lock(mutex_);
  if (running_) return 0;
  running_ = true;
  std::size_t n = 0;
  for (; !queue_.empty(); ++n) {
    const event e = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const peer_events* const outer = std::exchange(running_here, this);
    deliver_(e.who, e.what);
    running_here = outer;
    lock.lock();
  }
  running_ = false;
  waiting_.store(false, std::memory_order_relaxed);
  return n;
}

void peer_events::stop() {
  {
    std::lock_guard lock(mutex_);
    queue_.clear();
  }
  if (!pool_) return;
  pool_->stop();
  pool_->join();
  pool_.reset();
}

}  // namespace kfx::node_detail
