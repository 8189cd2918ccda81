// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Delivers on_peer events, in order, where a handler that blocks holds up nothing else.

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "kfx/node.hpp"

namespace kfx::node_detail {

class peer_events {
 public:
  /// `deliver` calls the program's handler. With `threaded`, on a thread made for the first event; else in `run`, and
  /// `pending` is told that there is something to run.
  peer_events(bool threaded, std::function<void(const peer&, peer_event)> deliver, std::function<void()> pending);
  ~peer_events();

  /// Control thread.
  void push(peer p, peer_event e);
  /// Any thread: runs what is queued. How many. Costs nothing while there is nothing.
  std::size_t run() { return waiting_.load(std::memory_order_acquire) ? run_all() : 0; }
  /// This thread runs a handler of it.
  bool run_here() const noexcept { return running_here == this; }
  /// Waits for a handler that runs; later events are dropped. Not while `push` can be called.
  void stop();

 private:
  struct event {
    peer who;
    peer_event what;
  };
  std::size_t run_all();

  inline static constinit thread_local const peer_events* running_here = nullptr;
  const bool threaded_;
  const std::function<void(const peer&, peer_event)> deliver_;
  const std::function<void()> pending_;
  std::unique_ptr<boost::asio::thread_pool> pool_;
  std::mutex mutex_;
  std::deque<event> queue_;
  std::atomic<bool> waiting_{false};  ///< the queue may hold something
  bool running_ = false;              ///< a thread is in `run`; the order is its
};

}  // namespace kfx::node_detail
