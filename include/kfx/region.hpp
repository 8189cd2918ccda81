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
struct allocation;
}  // namespace detail

/// Long-lived shared memory. Move-only RAII: **gone means revoked**: when the destructor returns no peer's access,
/// by CPU or hardware, touches the memory any more; later ones end with `stale_region`. Do not destroy it in a
/// handler of a backend. Thread: any, one at a time.
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

/// Where a buffer should live. Node and device are chosen by the library when negative.
struct placement {
  int numa_node = -1;
  bool huge_pages = true;  ///< where there are any
};

/// Memory from `node::allocate`: page-aligned, on its partition's NUMA node. Move-only RAII; outlives the node.
class buffer {
 public:
  buffer() = default;
  explicit buffer(std::shared_ptr<detail::allocation> a) noexcept;
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  mutable_buffer span() const noexcept { return {data_, size_}; }
  operator mutable_buffer() const noexcept { return span(); }

 private:
  std::shared_ptr<detail::allocation> a_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kfx
