// SPDX-License-Identifier: BSD-2-Clause
#include "interleave.hpp"

#include <ucontext.h>

#include <algorithm>
#include <map>
#include <memory>

namespace kfx::model {
namespace {

constexpr std::size_t most_threads = 4;
constexpr std::size_t stack_bytes = 128 * 1024;

using vector_clock = std::array<std::uint32_t, most_threads>;

/// What a thread knows, and what a release hands on: how far each thread has come, and for each location the oldest
/// write that may still be read.
struct knowledge {
  vector_clock clock{};
  std::vector<std::size_t> oldest;

  void join(const knowledge& k) {
    for (std::size_t i = 0; i < most_threads; ++i) clock[i] = std::max(clock[i], k.clock[i]);
    if (oldest.size() < k.oldest.size()) oldest.resize(k.oldest.size());
    for (std::size_t i = 0; i < k.oldest.size(); ++i) oldest[i] = std::max(oldest[i], k.oldest[i]);
  }
};

struct written {
  std::uint64_t value;
  bool hands_over;
  knowledge known;
};

struct thread {
  ucontext_t context{};
  std::function<void()> body;
  knowledge known;
  std::size_t waits_for = no_event;
  bool done = false;
  static constexpr std::size_t no_event = ~std::size_t{0};
};

/// Eight bytes of plain memory.
struct cell {
  std::size_t writer = most_threads;
  std::uint32_t written_at = 0;
  vector_clock read_at{};
};

class explorer {
 public:
  report run(const std::function<program()>& make, const bounds&);

  void point(const std::string& what);
  std::size_t choose(std::size_t of);
  void stop(const std::string& what) {
    if (failure_.empty()) failure_ = what;
    swapcontext(&threads_[running_].context, &scheduler_);
  }
  knowledge& mine() { return threads_[running_].known; }
  std::size_t& oldest(std::size_t location) {
    auto& o = mine().oldest;
    if (o.size() <= location) o.resize(location + 1);
    return o[location];
  }
  void wait(std::size_t event);
  void touch(std::uintptr_t word, bool writes);

  std::vector<std::vector<written>> locations;
  bool in_threads = false;

 private:
  void execute(program p, std::uint64_t preemptions);
  bool next_order();
  static void enter();

  struct choice {
    std::size_t taken, of;
  };
  std::vector<choice> choices_;
  std::size_t chosen_ = 0;
  std::vector<thread> threads_;
  std::vector<std::unique_ptr<char[]>> stacks_;
  std::size_t running_ = 0;
  std::uint64_t preemptions_left_ = 0;
  ucontext_t scheduler_{};
  std::map<std::uintptr_t, cell> memory_;
  std::string failure_;
  std::vector<std::string> trace_;
};

explorer* current = nullptr;

std::size_t explorer::choose(std::size_t of) {
  if (of == 1) return 0;
  if (chosen_ == choices_.size()) choices_.push_back({0, of});
  return choices_[chosen_++].taken;
}

/// The next execution takes the last choice that has another way; false: there is none.
bool explorer::next_order() {
  while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().of) choices_.pop_back();
  if (choices_.empty()) return false;
  ++choices_.back().taken;
  return true;
}

void explorer::enter() {
  thread& t = current->threads_[current->running_];
  t.body();
  t.done = true;
  swapcontext(&t.context, &current->scheduler_);
}

void explorer::point(const std::string& what) {
  if (!in_threads) return;
  swapcontext(&threads_[running_].context, &scheduler_);
  trace_.push_back("thread " + std::to_string(running_) + ": " + what);
  ++mine().clock[running_];
}

void explorer::wait(std::size_t event) {
  threads_[running_].waits_for = event;
  point("wakes up");
  threads_[running_].waits_for = thread::no_event;
}

void explorer::touch(std::uintptr_t word, bool writes) {
  cell& c = memory_[word];
  const vector_clock& seen = mine().clock;
  if (c.writer < most_threads && c.writer != running_ && seen[c.writer] < c.written_at)
    stop(writes ? "writes over bytes another thread wrote, unordered" : "reads bytes that were not handed over");
  if (!writes) {
    c.read_at[running_] = seen[running_];
    return;
  }
  for (std::size_t i = 0; i < most_threads; ++i)
    if (i != running_ && seen[i] < c.read_at[i]) stop("writes over bytes that are still being read");
  c.writer = running_;
  c.written_at = seen[running_];
}

void explorer::execute(program p, std::uint64_t preemptions) {
  preemptions_left_ = preemptions;
  threads_.clear();
  threads_.resize(p.size());
  while (stacks_.size() < p.size()) stacks_.push_back(std::make_unique<char[]>(stack_bytes));
  for (std::size_t i = 0; i < p.size(); ++i) {
    thread& t = threads_[i];
    t.body = std::move(p[i]);
    getcontext(&t.context);
    t.context.uc_stack.ss_sp = stacks_[i].get();
    t.context.uc_stack.ss_size = stack_bytes;
    makecontext(&t.context, &explorer::enter, 0);
    t.known.clock[i] = 1;
  }
  in_threads = true;
  while (failure_.empty()) {
    std::vector<std::size_t> ready;
    bool all_done = true;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      const thread& t = threads_[i];
      all_done &= t.done;
      const bool asleep = t.waits_for != thread::no_event && locations[t.waits_for].back().value == 0;
      if (!t.done && !asleep) ready.push_back(i);
    }
    if (all_done) break;
    if (ready.empty()) {
      failure_ = "everybody sleeps, and nobody would wake anybody";
      break;
    }
    const bool goes_on = std::find(ready.begin(), ready.end(), running_) != ready.end();
    if (goes_on && preemptions_left_ == 0) ready.assign(1, running_);
    const std::size_t next = ready[choose(ready.size())];
    if (goes_on && next != running_) --preemptions_left_;
    running_ = next;
    swapcontext(&scheduler_, &threads_[running_].context);
  }
  in_threads = false;
}

report explorer::run(const std::function<program()>& make, const bounds& b) {
  report r;
  current = this;
  for (;;) {
    locations.clear();
    memory_.clear();
    trace_.clear();
    chosen_ = 0;
    running_ = 0;
    {
      program p = make();
      execute(std::move(p), b.preemptions);
    }
    ++r.executions;
    if (!failure_.empty()) {
      r.failure = failure_;
      for (const std::string& step : trace_) r.failure += "\n  " + step;
      break;
    }
    if (!next_order()) {
      r.complete = true;
      break;
    }
    if (r.executions == b.executions) break;
  }
  threads_.clear();
  current = nullptr;
  return r;
}

}  // namespace

report explore(const std::function<program()>& make, const bounds& b) { return explorer().run(make, b); }

void fail(const std::string& what) { current->stop(what); }

std::size_t new_location(std::uint64_t value) {
  current->locations.push_back({{value, false, {}}});
  return current->locations.size() - 1;
}

std::uint64_t load(std::size_t location, bool acquire) {
  current->point("load " + std::to_string(location));
  const auto& history = current->locations[location];
  std::size_t& oldest = current->oldest(location);
  const std::size_t at = history.size() - 1 - current->choose(history.size() - oldest);
  oldest = at;
  if (acquire && history[at].hands_over) current->mine().join(history[at].known);
  return history[at].value;
}

void store(std::size_t location, std::uint64_t value, bool release) {
  current->point("store " + std::to_string(location) + " = " + std::to_string(value));
  auto& history = current->locations[location];
  current->oldest(location) = history.size();
  history.push_back({value, release, release ? current->mine() : knowledge{}});
}

std::uint64_t modify(std::size_t location, const std::function<std::uint64_t(std::uint64_t)>& f, bool acquire,
                     bool release) {
  current->point("modify " + std::to_string(location));
  auto& history = current->locations[location];
  const written old = history.back();
  if (acquire && old.hands_over) current->mine().join(old.known);
  current->oldest(location) = history.size();
  // What the previous write handed over is handed on: a release sequence.
  written next{f(old.value), release || old.hands_over, old.known};
  if (release) next.known.join(current->mine());
  history.push_back(std::move(next));
  return old.value;
}

void wait_until_set(std::size_t event) {
  current->wait(event);
  const written& last = current->locations[event].back();
  if (last.hands_over) current->mine().join(last.known);
}

void touch(const void* begin, std::size_t bytes, bool writes) {
  const auto from = reinterpret_cast<std::uintptr_t>(begin) / 8;
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + bytes + 7) / 8;
  for (std::uintptr_t word = from; word < to; ++word) current->touch(word, writes);
}

}  // namespace kfx::model
