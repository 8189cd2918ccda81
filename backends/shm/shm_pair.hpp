// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Two rings between two processes of one host.

#include <cstddef>
#include <string>

#include "backends/shm/descriptor.hpp"
#include "backends/shm/segment.hpp"
#include "backends/shm/shm_memory.hpp"
#include "kfx/backend/ring_pair.hpp"

namespace kfx::shm {

/// Behind a side's page (shm_page.hpp).
inline constexpr std::size_t ring_bytes = 64 * 1024;
inline constexpr std::size_t least_ring = 64 * 1024;
inline constexpr std::size_t most_ring = 64 * 1024 * 1024;
/// What both write: two words that say who sleeps.
inline constexpr std::size_t bell_bytes = 4096;

/// The mappings of one connection as one side has them, and the socket they came over. What is sent over the socket
/// from now on wakes, or tells of memory (shm_control.hpp). Its hang-up is the peer's end.
class shm_pair final : public backend::ring_pair {
 public:
  struct parts {
    descriptor socket;
    mapping own;
    mapping peer;
    mapping bell;
    std::string name;
    std::uint64_t peer_pages = 0;  ///< where `peer` is in the peer's memory
    bulk way = bulk::best;
    bool connecting = false;
    bool sleeper_fences = false;
  };
  explicit shm_pair(parts);
  ~shm_pair() override { close(); }

  const memory& map() const noexcept override { return memory_; }
  void fence() noexcept override;
  void wake() noexcept override;
  int native_handle() const noexcept override { return parts_.socket.get(); }
  bool awake() noexcept override;
  backend::ring_memory* direct() noexcept override { return direct_.get(); }
  void close() noexcept override;
  std::string peer_address() const override;
  std::string describe() const override;

 private:
  parts parts_;
  memory memory_;
  std::unique_ptr<shm_memory> direct_;
};

}  // namespace kfx::shm
