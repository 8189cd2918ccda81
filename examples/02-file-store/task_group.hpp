// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Coroutines that belong to one transfer, awaited together.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace store {

/// Any thread; members of the group may add to it. `wait` is for a thread outside the pool.
class task_group {
 public:
  explicit task_group(boost::asio::thread_pool& pool) : pool_(pool) {}

  /// Never runs the task inside this call.
  void spawn(boost::asio::awaitable<void> task) {
    {
      const std::lock_guard lock(mutex_);
      ++running_;
    }
    // Posted: co_spawn alone would run it inside this call, perhaps under a lock of the caller's.
    boost::asio::post(pool_, [this, task = std::move(task)]() mutable {
      boost::asio::co_spawn(pool_, std::move(task), [this](std::exception_ptr e) { done(e); });
    });
  }
  /// Until none is left. Throws the first exception that left one.
  void wait() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return running_ == 0; });
    if (auto e = std::exchange(first_, nullptr)) std::rethrow_exception(e);
  }

 private:
  void done(std::exception_ptr e) {
    const std::lock_guard lock(mutex_);
    if (e && !first_) first_ = e;
    if (--running_ == 0) idle_.notify_all();
  }

  boost::asio::thread_pool& pool_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t running_ = 0;
  std::exception_ptr first_;
};

}  // namespace store
