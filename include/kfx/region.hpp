// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Memory this node shares: regions (many uses), offers (one), and buffers every backend moves without a copy.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "kfx/op.hpp"
#include "kfx/remote_region.hpp"
#include "kfx/types.hpp"

namespace kfx {

namespace detail {
struct region_state;
}  // namespace detail

/// Long-lived shared memory. Move-only RAII: **gone means revoked**: when the destructor returns no peer's access,
/// by CPU or hardware, touches the memory any more; later ones end with `stale_region`. It waits for accesses under
/// way, which take milliseconds at most, and handlers may do so. (Not what a backend does inside a call of the engine:
/// that is what the destructor would wait for.) Thread: any, one at a time. One that was made by default or moved from
/// may be assigned to, destroyed, and asked whether it is `valid()`; nothing else.
class region {
 public:
  region();
  explicit region(std::shared_ptr<detail::region_state>) noexcept;
  region(region&&) noexcept;
  region& operator=(region&&) noexcept;
  ~region();

  bool valid() const noexcept { return s_ != nullptr; }
  mutable_buffer memory() const noexcept;
  access rights() const noexcept;
  /// The token that names it, to be sent to whom you like.
  remote_region token() const noexcept;
  bool operator==(const region& o) const noexcept { return s_ == o.s_; }

  const std::shared_ptr<detail::region_state>& state() const noexcept { return s_; }

 private:
  std::shared_ptr<detail::region_state> s_;
};

/// Memory offered to one peer for exactly one remote read or write, in one or more pieces. It is itself an op:
/// it completes with status and actual length (the bytes of all pieces, at most the offer's) when the remote side is
/// through with it (`last`), rejects it, or when it is revoked (`revoke()`, `cancel()`, destruction: `revoked`, and the
/// memory is quiet).
class [[nodiscard]] offer : public op<done> {
 public:
  offer() = default;
  explicit offer(detail::op_state* s, const remote_region& t) noexcept : op<done>(s), token_(t) {}
  /// What the peer needs; put it into a message.
  const remote_region& token() const noexcept { return token_; }
  void revoke() noexcept { cancel(); }

 private:
  remote_region token_;
};

/// Where a buffer should live. What cannot be had is done without.
struct placement {
  int numa_node = -1;      ///< negative: as `options::placement` says
  bool huge_pages = true;  ///< where there are any, for 2 MiB and more
};

/// Memory from `node::allocate`: zeroed, page-aligned, on its partition's NUMA node as far as that has room. Move-only
/// RAII; outlives the node. Each has a file of its own that peers on this host can map (one descriptor, not inherited
/// by what is executed; a buffer is this process's alone once half of the descriptors it may open, for buffers under 64
/// KiB an eighth, went that way), so a forked child shares it. Allocate large ones and use parts of them.
class buffer {
 public:
  buffer() = default;
  /// `keep` holds the memory.
  explicit buffer(std::shared_ptr<const void> keep, mutable_buffer memory) noexcept
      : keep_(std::move(keep)), memory_(memory) {}
  buffer(buffer&& o) noexcept : keep_(std::move(o.keep_)), memory_(std::exchange(o.memory_, {})) {}
  buffer& operator=(buffer&& o) noexcept {
    keep_ = std::move(o.keep_);
    memory_ = std::exchange(o.memory_, {});
    return *this;
  }
  std::byte* data() const noexcept { return memory_.data(); }
  std::size_t size() const noexcept { return memory_.size(); }
  mutable_buffer span() const noexcept { return memory_; }
  operator mutable_buffer() const noexcept { return memory_; }

 private:
  std::shared_ptr<const void> keep_;
  mutable_buffer memory_;
};

}  // namespace kfx
