// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Completions that wait for the next poll or flush to be reported.

#include <system_error>
#include <vector>

#include "kfx/backend/frame_sink.hpp"
#include "kfx/backend/remote_memory.hpp"

namespace kfx::base {

/// One thread at a time. Keeps its memory, so that it allocates nothing in steady state.
class completions {
 public:
  void push(backend::cookie id, std::error_code error = {}) { list_.push_back({id, error, true}); }
  /// What a put or get answers that the calling thread has just made: only what went wrong is reported.
  backend::started made(backend::cookie id, std::error_code error) {
    return error ? failed(id, error) : backend::started::done;
  }
  /// The same, where something did.
  backend::started failed(backend::cookie id, std::error_code error) {
    if (!prepare()) return backend::started::no_room;
    push(id, error);
    return backend::started::under_way;
  }
  /// Makes room for one more; false when there is no memory. A later `push` cannot fail then.
  bool prepare() noexcept {
    try {
      if (list_.size() == list_.capacity()) list_.reserve(2 * list_.size() + 16);
      return true;
    } catch (...) {
      return false;
    }
  }
  bool empty() const noexcept { return list_.empty(); }
  void clear() noexcept { list_.clear(); }

  /// Those of `id` are not reported.
  void forget(backend::cookie id) noexcept {
    for (entry& e : list_)
      if (e.id == id) e.live = false;
  }

  /// Calls `report(cookie, error)` for each that was there at the call. `report` may push, forget and clear.
  template <class F>
  void drain(F&& report) {
    if (list_.empty() || draining_) return;
    draining_ = true;
    const std::size_t count = list_.size();
    for (std::size_t i = 0; i < count && i < list_.size(); ++i) {
      const entry e = list_[i];
      list_[i].live = false;
      if (e.live) report(e.id, e.error);
    }
    const auto reported = static_cast<std::ptrdiff_t>(std::min(count, list_.size()));
    list_.erase(list_.begin(), list_.begin() + reported);
    draining_ = false;
  }

 private:
  struct entry {
    backend::cookie id;
    std::error_code error;
    bool live;
  };
  std::vector<entry> list_;
  bool draining_ = false;
};

}  // namespace kfx::base
