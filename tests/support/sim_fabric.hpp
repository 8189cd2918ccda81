// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What lies between the two ends of a simulated RDMA connection: registered memory, and puts on their way to it.

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "backends/loopback/loopback_memory.hpp"

namespace kfx::test {

/// A put whose source was read and which the target's side will not refuse. It is placed some time later, without
/// the target's CPU, even after its initiator is gone; never after the target fenced its end.
struct placement {
  backend::direct_key key;
  std::uint64_t offset;
  std::vector<std::byte> data;
  backend::cookie id;  ///< the initiator's
};

/// Any thread. `end` is always the owner of the memory.
class sim_fabric : public std::enable_shared_from_this<sim_fabric> {
 public:
  explicit sim_fabric(std::uint64_t seed) : random_(seed) {}

  result<backend::direct_key> share(unsigned end, std::span<const mutable_buffer>, access rights);
  /// Puts on their way to it are placed before the return, or never.
  void withdraw(unsigned end, backend::direct_key);

  std::error_code put(unsigned end, placement);
  /// After all earlier puts.
  std::error_code get(unsigned end, backend::direct_key, std::uint64_t offset, std::span<const mutable_buffer> into);
  /// Places all that was put. An error: something put under this cookie was lost, because its memory was withdrawn.
  std::error_code flush(unsigned end, backend::cookie);
  /// Places up to `most` of what was put.
  void place_some(unsigned end, std::size_t most);
  bool on_the_way(unsigned end);

  /// The initiator of puts to `end` closed; what it left behind may still arrive, moved on by `drift`.
  void abandon(unsigned end);
  /// The owner closes: of what is on the way, any part is placed now and the rest never.
  void fence(unsigned end);

  /// Places a put that some closed connection of this process left behind, perhaps.
  static void drift(std::mt19937_64& random);

 private:
  struct side {
    loopback::export_table exports;
    std::map<backend::direct_key, backend::direct_key> keys;  ///< as peers know them, as `exports` does
    std::set<backend::direct_key> used;
    std::deque<placement> arriving;
    std::set<backend::cookie> lost;
    bool abandoned = false;
    bool fenced = false;
  };

  backend::direct_key known(side&, backend::direct_key) const;
  void place_front(side&);

  std::mutex lock_;
  std::mt19937_64 random_;
  side sides_[2];
};

}  // namespace kfx::test
