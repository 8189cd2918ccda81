// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Files that clients are writing in pieces. Each has an id nobody can guess, belongs to one client, and goes away,
/// with its part file, when that client is gone.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <kfx/peer.hpp>

#include "part_file.hpp"

namespace store {

struct upload {
  upload(kfx::peer from, std::uint64_t bytes, shared_dir dir, std::string leaf)
      : owner(std::move(from)), size(bytes), part(std::move(dir), std::move(leaf)) {}
  const kfx::peer owner;
  const std::uint64_t size;
  part_file part;
  kfx::clock::time_point used = kfx::clock::now();  ///< under the table's lock
};

/// Any thread.
class uploads {
 public:
  explicit uploads(std::size_t limit) : limit_(limit) {}

  /// Its id. Throws EMFILE when there are too many, and what creating the file throws.
  std::uint64_t add(const kfx::peer& owner, std::uint64_t size, shared_dir dir, std::string leaf);
  /// ESTALE unless it exists and is this client's.
  std::shared_ptr<upload> find(std::uint64_t id, const kfx::peer& owner);
  /// The same, and it leaves the table; its part file goes when the last user lets go, unless published.
  std::shared_ptr<upload> take(std::uint64_t id, const kfx::peer& owner);
  void drop(std::uint64_t id);
  void drop_all_of(const kfx::peer& owner);
  void drop_all();
  /// Those whose client is disconnected and silent for so long; and any that is silent for `forgotten`.
  void reap(kfx::clock::duration disconnected, kfx::clock::duration forgotten);

 private:
  template <class Predicate>
  void drop_if(Predicate);

  const std::size_t limit_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<upload>> table_;
};

}  // namespace store
