// SPDX-License-Identifier: BSD-2-Clause
#include "executor.hpp"

#include <chrono>

namespace lnet::selftest {

namespace {

/// Enough that nobody notices the change of threads, few enough that a driver gets its thread back.
constexpr unsigned in_one_go = 32;

/// Of this thread; tasks of several nodes where one process has several.
struct local_tasks {
  bool running = false;
  task_list waiting;
};
thread_local local_tasks here;

}  // namespace

executor::executor(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

executor::~executor() {
  stop();
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  more_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void executor::push(task_list& list, task& t) noexcept {
  t.next_ = nullptr;
  (list.tail_ ? list.tail_->next_ : list.head_) = &t;
  list.tail_ = &t;
  ++list.size_;
}

task* executor::pop(task_list& list) noexcept {
  task* const t = list.head_;
  if (!t) return nullptr;
  list.head_ = t->next_;
  if (!list.head_) list.tail_ = nullptr;
  --list.size_;
  return t;
}

bool executor::enter(task& t) noexcept {
  inside_.fetch_add(1);
  if (stopping_.load()) {
    inside_.fetch_sub(1);
    return false;
  }
  t.home_ = this;
  return true;
}

void executor::run_one(task& t) noexcept {
  if (!stopping_.load(std::memory_order_relaxed)) t.run();
  inside_.fetch_sub(1);
}

void executor::soon(task& t) noexcept {
  if (!enter(t)) return;
  if (here.running) {
    push(here.waiting, t);
  } else {
    drain(t);
  }
}

void executor::elsewhere(task& t) noexcept {
  if (enter(t)) enqueue(t);
}

void executor::drain(task& first) noexcept {
  here.running = true;
  task* t = &first;
  for (unsigned n = 0; t && n < in_one_go; ++n, t = pop(here.waiting)) t->home_->run_one(*t);
  for (; t; t = pop(here.waiting)) t->home_->enqueue(*t);
  here.running = false;
}

void executor::enqueue(task& t) noexcept {
  const std::lock_guard lock(mutex_);
  push(queue_, t);
  more_.notify_one();  // under the lock: once the task has run, all this may be gone
}

void executor::work() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return end_ || !queue_.empty(); });
    task* const t = pop(queue_);
    if (!t) return;
    lock.unlock();
    drain(*t);
    lock.lock();
  }
}

void executor::stop() noexcept {
  stopping_.store(true);
  // What is queued still comes by, and is left out.
  while (inside_.load() != 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
}

}  // namespace lnet::selftest
