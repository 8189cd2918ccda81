// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The two clocks of a node: ticks, while sessions need them, and a watch over handlers, while some run. An idle node
/// has neither.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>

namespace kfx::node_detail {

class ticker {
 public:
  /// `tick` does what is due and says when to come again (0: when `want_ticks` is called). `watch`: whether handlers
  /// still run. Both on the control thread. Throws kfx::error (out_of_resources).
  ticker(boost::asio::io_context& io, std::function<std::chrono::nanoseconds()> tick, std::function<bool()> watch);

  /// Any thread: something changed; a tick follows within a few milliseconds and plans anew.
  void want_ticks();
  /// Any thread: from now on `watch` is asked every few milliseconds until it says no. One system call, and no wake-up
  /// of the control thread, when it was not asked already.
  void watch_handlers();
  /// Control thread: neither is called any more.
  void stop();

 private:
  void tick();
  void arm(std::chrono::nanoseconds in);
  void wait_for_watch();
  void watched();
  void set_watch(bool on) noexcept;

  boost::asio::io_context& io_;
  const std::function<std::chrono::nanoseconds()> tick_;
  const std::function<bool()> watch_;
  boost::asio::steady_timer timer_;
  boost::asio::posix::stream_descriptor watch_timer_;
  const int watch_fd_;  ///< watch_timer_'s, for threads that may not touch that
  std::atomic<bool> soon_{false};
  std::atomic<bool> watching_{false};
  bool stopped_ = false;
};

}  // namespace kfx::node_detail
