// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Limits that coroutines wait at without holding a thread: a counting gate, and a fixed set of transfer buffers.

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include <kfx/node.hpp>

namespace store {

namespace asio = boost::asio;

/// So many at a time. Any thread.
class gate {
 public:
  explicit gate(std::size_t places) : free_(places) {}

  /// Waits for a place; first come, first served.
  asio::awaitable<void> enter() {
    if (try_enter()) co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [this](auto handler) { wait(std::move(handler)); }, asio::use_awaitable);
  }
  void leave() {
    std::function<void()> next;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) {
        ++free_;
        return;
      }
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next();
  }
  /// What waits is let go without running: its coroutine frame is destroyed with it.
  void clear() {
    std::deque<std::function<void()>> gone;
    const std::lock_guard lock(mutex_);
    gone.swap(waiting_);
  }

 private:
  bool try_enter() {
    const std::lock_guard lock(mutex_);
    if (free_ == 0 || !waiting_.empty()) return false;
    --free_;
    return true;
  }
  template <class Handler>
  void wait(Handler&& handler) {
    auto shared = std::make_shared<std::decay_t<Handler>>(std::move(handler));
    std::function<void()> resume = [shared] {
      auto ex = asio::get_associated_executor(*shared);
      asio::post(ex, std::move(*shared));
    };
    {
      const std::lock_guard lock(mutex_);
      if (free_ == 0) {
        waiting_.push_back(std::move(resume));
        return;
      }
      --free_;
    }
    resume();
  }

  std::mutex mutex_;
  std::size_t free_;
  std::deque<std::function<void()>> waiting_;
};

/// A place behind a gate, given back at the end of its life.
class place {
 public:
  place() = default;
  explicit place(gate& g) noexcept : gate_(&g) {}
  place(place&& o) noexcept : gate_(std::exchange(o.gate_, nullptr)) {}
  place& operator=(place&& o) noexcept {
    std::swap(gate_, o.gate_);
    return *this;
  }
  ~place() {
    if (gate_) gate_->leave();
  }
  /// Somebody else gives it back.
  void keep() noexcept { gate_ = nullptr; }

 private:
  gate* gate_ = nullptr;
};

/// A fixed number of equal buffers from the node, made when first needed. This is what bounds the memory of a
/// transfer, however large the tree or the file. Any thread.
class buffer_pool {
 public:
  buffer_pool(kfx::node& node, std::size_t count, std::size_t bytes) : node_(node), bytes_(bytes), gate_(count) {}

  class lease {
   public:
    lease() = default;
    lease(buffer_pool& pool, kfx::buffer b) noexcept : pool_(&pool), buffer_(std::move(b)) {}
    lease(lease&& o) noexcept : pool_(std::exchange(o.pool_, nullptr)), buffer_(std::move(o.buffer_)) {}
    lease& operator=(lease&& o) noexcept {
      std::swap(pool_, o.pool_);
      std::swap(buffer_, o.buffer_);
      return *this;
    }
    ~lease() {
      if (pool_) pool_->give_back(std::move(buffer_));
    }
    explicit operator bool() const noexcept { return pool_ != nullptr; }
    kfx::mutable_buffer span() const noexcept { return buffer_.span(); }

   private:
    buffer_pool* pool_ = nullptr;
    kfx::buffer buffer_;
  };

  /// No new buffers: the node is going away.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  asio::awaitable<lease> take() {
    co_await gate_.enter();
    co_return next();
  }

 private:
  lease next() {
    place held(gate_);  // given back should there be no memory
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      if (closed_) throw std::system_error(std::make_error_code(std::errc::operation_canceled), "buffers");
      free_.push_back(node_.allocate(bytes_));
    }
    held.keep();
    lease given(*this, std::move(free_.back()));
    free_.pop_back();
    return given;
  }
  void give_back(kfx::buffer b) {
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(std::move(b));
    }
    gate_.leave();
  }

  kfx::node& node_;
  std::size_t bytes_;
  gate gate_;
  std::mutex mutex_;
  std::vector<kfx::buffer> free_;
  bool closed_ = false;
};

}  // namespace store
