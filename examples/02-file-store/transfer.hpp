// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What get and put have in common: their options, limits, and the pieces of one large file under way.

#include <algorithm>
#include <cstddef>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include "gate.hpp"
#include "protocol.hpp"
#include "report.hpp"
#include "session.hpp"
#include "task_group.hpp"

namespace store {

struct transfer_options {
  bool recursive = false;
  bool each_fsync = false;  ///< every file is on the disk before it gets its name
  bool no_sync = false;     ///< leave when to write back to the system
};

/// Bounds of one transfer: at most (packets + chunks) buffers of 1 MiB, whatever is moved.
struct window {
  std::size_t packets = 16;
  std::size_t chunks = 16;
  std::size_t files = 64;  ///< large files known and not finished, so also open descriptors
  std::size_t lists = 16;  ///< directories being listed
};

/// What a `stat` says, as an entry.
inline entry entry_of(const reply& r) {
  entry e;
  e.kind = r.kind;
  e.flags = static_cast<std::uint8_t>(r.flags);
  e.mode = r.mode;
  e.size = r.size;
  e.mtime = r.mtime;
  e.mtime_ns = r.mtime_ns;
  e.inode = r.id;
  return e;
}

/// A directory whose mode and time are set when all else is done.
struct finished_directory {
  std::string path;
  entry head;
};
/// Children come before their parents: setting a mode may close the way to what is below.
inline void deepest_first(std::vector<finished_directory>& all) {
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.path.size() > b.path.size(); });
}

/// The chunks of one file: who starts them waits for them, and the first error counts.
class pieces {
 public:
  void started() { ++started_; }
  void done() { finished_.leave(); }
  void failed(std::exception_ptr why) {
    const std::lock_guard lock(mutex_);
    if (!first_) first_ = std::move(why);
  }
  /// The first error, or null.
  std::exception_ptr error() {
    const std::lock_guard lock(mutex_);
    return first_;
  }
  /// By the one that starts them, when all are started.
  asio::awaitable<void> join() {
    for (; started_ > 0; --started_) co_await finished_.enter();
  }

 private:
  std::size_t started_ = 0;
  gate finished_{0};
  std::mutex mutex_;
  std::exception_ptr first_;
};

/// The length of the chunk that begins at `at`.
inline std::size_t next_chunk(const extent& e, std::uint64_t at) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(e.offset + e.length - at, chunk_bytes));
}

/// Waits for an offer that the server says it has used. Throws EPROTO when it has not, or not for all of it.
inline void settle(kfx::offer& offered, std::size_t expected) {
  const auto done = offered.complete(std::chrono::seconds(10));
  if (!done || done->bytes != expected) bad_answer("offer");
}

}  // namespace store
