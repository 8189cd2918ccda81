// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A host with what all RPCs of a node share: threads, a timer, names for RPCs, and buffers that requests come into.

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "executor.hpp"
#include "host.hpp"
#include "pattern.hpp"

namespace lnet::selftest {

class operation;

class endpoint {
 public:
  endpoint(std::unique_ptr<host>, unsigned threads);
  ~endpoint();
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;

  host& lnet() noexcept { return lnet_; }
  executor& tasks() noexcept { return tasks_; }
  /// Where the events of operations go.
  const event_queue_ptr& events() const noexcept { return events_; }
  /// Starts somewhere at random: what was meant for an earlier life of this node finds nothing.
  std::uint64_t next_rpc() noexcept {
    return next_rpc_.fetch_add(1, std::memory_order_relaxed) & (~std::uint64_t{0} >> 1);
  }

  /// Looks at its deadline now and then. Any thread.
  void watch(operation&);
  void forget(operation&) noexcept;
  /// Calls it now and then, on the timer's thread; before anything else goes on.
  void at_ticks(std::function<void(clock::time_point)>);

  /// Ends the host. When it returns no task runs and no event comes: memory may go.
  void shut_down() noexcept;

 private:
  void tick();

  std::unique_ptr<host> owned_;
  host& lnet_;
  event_queue_ptr events_;
  std::atomic<std::uint64_t> next_rpc_;
  executor tasks_;
  std::mutex watch_mutex_;
  std::vector<operation*> watched_;
  std::mutex timer_mutex_;
  std::condition_variable timer_wake_;
  std::vector<std::function<void(clock::time_point)>> at_ticks_;
  bool end_ = false;
  std::thread timer_;
};

/// A portal at which requests of anybody are taken: buffers that requests follow one another in, each posted again once
/// it is full and looked through. What finds no buffer waits (a lazy portal).
class request_portal {
 public:
  /// On the thread of the event; the bytes are gone afterwards.
  using handler = std::function<void(const process_id& from, std::span<const std::byte>)>;
  struct shape {
    unsigned portal;
    std::size_t largest;  ///< request; longer ones are dropped by LNet
    std::size_t buffer;   ///< bytes
    unsigned count;
  };
  /// Throws std::system_error.
  request_portal(endpoint&, const shape&, handler);

 private:
  struct buffer final : task {
    void run() noexcept override;
    request_portal* portal = nullptr;
    page_buffer memory;
    std::atomic<unsigned> readers{0};
    std::atomic<bool> spent{false};
  };
  int post(buffer&) noexcept;
  void arrived(const event&);

  endpoint& endpoint_;
  const shape shape_;
  const handler handler_;
  event_queue_ptr events_;
  std::vector<std::unique_ptr<buffer>> buffers_;
};

}  // namespace lnet::selftest
