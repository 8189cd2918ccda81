// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A `kfx perf` server that its client starts itself: another process, or for loop:// another thread of this one.

#include <sys/types.h>

#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <thread>

#include "perf_server.hpp"

namespace tool::perf {

/// Ends with its owner, whatever happens to that.
class own_server {
 public:
  /// `cpu` < 0: anywhere. To be made before this process has threads. Throws std::exception when it cannot serve.
  own_server(const server_options&, int cpu);
  own_server(const own_server&) = delete;
  own_server& operator=(const own_server&) = delete;
  /// Asks it to end if it has not, and waits.
  ~own_server();
  /// What a client connects to.
  const std::string& address() const { return address_; }

 private:
  void start_process(const server_options&, int cpu);
  void start_thread(server_options, int cpu);

  std::string address_;
  pid_t pid_ = -1;
  std::atomic<bool> stop_{false};
  std::unique_ptr<server> server_;
  std::thread thread_;
};

}  // namespace tool::perf
