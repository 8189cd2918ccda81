// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Files that clients are writing in pieces. Each has an id nobody can guess, belongs to one client, and goes away,
/// with its part file, when that client is gone.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <kfx/op.hpp>
#include <kfx/peer.hpp>

#include "part_file.hpp"

namespace store {

class upload {
 public:
  upload(kfx::peer from, std::uint64_t bytes, shared_dir dir, std::string leaf);

  const kfx::peer owner;
  const std::uint64_t size;
  part_file part;
  kfx::clock::time_point used = kfx::clock::now();  ///< under the table's lock

  /// While this lives the op is ended should the upload be given up: an op towards a client that is gone would hold
  /// the part file until kfx itself gives up, which takes longer than the grace. Any thread.
  class moving {
   public:
    moving(upload&, kfx::op<kfx::done>&);
    ~moving();
    moving(const moving&) = delete;
    moving& operator=(const moving&) = delete;

   private:
    upload& upload_;
    kfx::op<kfx::done>& op_;
  };
  /// Any thread. The first errno counts.
  void give_up(int why);
  /// Throws std::system_error when it was given up.
  void still_wanted();
  /// Is it about to become this name (any, when empty) of this directory?
  bool becomes(const struct stat& dir, std::string_view leaf) const noexcept;

 private:
  const std::string leaf_;
  struct stat dir_ {};
  std::mutex mutex_;
  int given_up_ = 0;
  std::vector<kfx::op<kfx::done>*> ops_;
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
  /// It is given up for this errno.
  void drop(std::uint64_t id, int why);
  /// Somebody sends what is in this directory, or this name in it, again: what disconnected clients were sending
  /// there has no use any more.
  void supersede(int dir, std::string_view leaf = {});
  void drop_all_of(const kfx::peer& owner);
  void drop_all();
  /// Those whose client is disconnected and silent for so long; and any that is silent for `forgotten`.
  void reap(kfx::clock::duration disconnected, kfx::clock::duration forgotten);

 private:
  std::shared_ptr<upload> remove(std::uint64_t id);
  template <class Predicate>
  void drop_if(Predicate);

  const std::size_t limit_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<upload>> table_;
};

}  // namespace store
