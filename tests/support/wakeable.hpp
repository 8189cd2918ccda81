// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link under a test's control: cut from any thread, and woken for it.

#include <atomic>
#include <memory>
#include <string>

#include "kfx/backend/link.hpp"

namespace kfx::test {

class wakeable {
 public:
  /// `kind` is "faulty" or "sim"; `address` is what `cut_all` looks at. Listed until it is destroyed.
  static std::shared_ptr<wakeable> make(std::string kind, std::string address);
  wakeable(std::string kind, std::string address);
  ~wakeable();
  wakeable(const wakeable&) = delete;
  wakeable& operator=(const wakeable&) = delete;

  /// Any thread.
  void cut() noexcept;
  bool is_cut() const noexcept { return cut_.load(std::memory_order_acquire); }

  /// The link's thread: a handle that signals when the inner one does, or after `cut`.
  backend::wait_handle wrap(backend::wait_handle inner) noexcept;

  const std::string kind;
  const std::string address;

 private:
  int epoll_;
  int event_;
  int inner_ = -1;
  std::atomic<bool> cut_{false};
};

}  // namespace kfx::test
