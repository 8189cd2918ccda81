// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A peer in a process of its own (peer_process.cpp), which a test can stop, continue and kill. One thread.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kfx::test {

/// Counters in memory that outlives any child: how often the effect of each id happened, whichever incarnation
/// had it, and how often a child saw poison.
class shared_counts {
 public:
  static constexpr std::size_t size = 1u << 20;
  static constexpr std::size_t poison_slot = size - 1;
  shared_counts();
  ~shared_counts();
  shared_counts(const shared_counts&) = delete;
  shared_counts& operator=(const shared_counts&) = delete;

  std::uint32_t of(std::size_t id) const { return std::atomic_ref(counts_[id]).load(); }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  std::uint32_t* counts_ = nullptr;
};

class child {
 public:
  /// Starts it and waits until it says where it listens ("visit": that it has done its part).
  child(const std::vector<std::string>& arguments, const shared_counts&);
  /// Killed, if need be, and reaped.
  ~child();
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  /// What its first line said.
  const std::string& says() const { return says_; }
  /// It has really stopped when this returns.
  void stop();
  void go_on();
  /// SIGKILL, and reaped when this returns.
  void kill();

 private:
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::string says_;
};

}  // namespace kfx::test
