// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Where the work is done that events ask for. Over the loopback NI a request, its answer and the next request would
/// all be made on top of one another's stack; and where a driver brings an event, that thread may as well do what
/// follows, for the data is in its cache.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace lnet::selftest {

class executor;

/// Something to be run. Not given to an executor again before it runs.
class task {
 public:
  task() = default;
  task(const task&) = delete;
  task& operator=(const task&) = delete;

 protected:
  ~task() = default;
  virtual void run() noexcept = 0;

 private:
  friend class executor;
  executor* home_ = nullptr;
  task* next_ = nullptr;
};

/// First in, first out.
class task_list {
 public:
  bool empty() const noexcept { return !head_; }
  std::size_t size() const noexcept { return size_; }

 private:
  friend class executor;
  task* head_ = nullptr;
  task* tail_ = nullptr;
  std::size_t size_ = 0;
};

class executor {
 public:
  explicit executor(unsigned threads);
  ~executor();
  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;

  /// Runs it on this thread: now, or when what runs there is over. After a while the rest goes to the threads.
  void soon(task&) noexcept;
  /// Runs it on one of the threads.
  void elsewhere(task&) noexcept;
  /// Nothing is run any more; returns when nothing runs. Not from a task.
  void stop() noexcept;

 private:
  bool enter(task&) noexcept;
  void run_one(task&) noexcept;
  static void push(task_list&, task&) noexcept;
  static task* pop(task_list&) noexcept;
  void enqueue(task&) noexcept;
  void work() noexcept;
  void drain(task&) noexcept;

  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> inside_{0};  ///< tasks that run or will
  std::mutex mutex_;
  std::condition_variable more_;
  task_list queue_;
  bool end_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lnet::selftest
