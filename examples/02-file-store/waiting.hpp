// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Tells a person why nothing happens: requests are under way, and their server cannot be reached.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include <kfx/peer.hpp>

namespace store {

/// How long kfx waits for a silent peer of that URI: the URI's `limit`, KFX_LIMIT, or the default.
std::chrono::milliseconds limit_of(const std::string& uri);
/// The URI with that limit instead of its own.
std::string with_limit(const std::string& uri, unsigned seconds);

class waiting {
 public:
  using tell = std::function<void(const std::string&)>;

  /// `tell` gets one line for each wait, from a thread of its own.
  waiting(kfx::peer, std::chrono::milliseconds limit, tell);
  ~waiting();
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;

  /// Around each request; any thread.
  void asked() noexcept { asked_.fetch_add(1, std::memory_order_relaxed); }
  void answered() noexcept { answered_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void watch();

  const kfx::peer peer_;
  const std::chrono::milliseconds limit_;
  const tell tell_;
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace store
