// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// One-sided access to memory of the peer, for links that have it (RDMA, shared memory, a bridge, same process).

#include <cstdint>
#include <span>

#include "kfx/backend/frame_sink.hpp"
#include "kfx/error.hpp"
#include "kfx/types.hpp"

namespace kfx::backend {

/// A key that names exported memory to the peer of this link, for as long as the link lives. Never 0.
using direct_key = std::uint32_t;

struct memory_caps {
  std::size_t max_fragments = 1;         ///< local spans in one put or get
  std::size_t max_export_fragments = 1;  ///< spans in one export; their bytes are addressed as one run from 0
  std::size_t max_bytes = 1u << 20;      ///< of one put or get
  bool placed_before_frames = true;      ///< a put is visible at the target before any frame committed after it;
                                         ///< otherwise the engine holds frames back until `flush` completed
  bool atomic8 = false;                  ///< an aligned put of 8 bytes is never seen torn
  bool at_once = false;                  ///< put and get are `done`, or went wrong and have moved nothing
  bool selective = false;                ///< not every transfer is better one-sided: ask `takes`
};

/// How long exported memory is meant to stay so.
enum class sharing : std::uint8_t {
  lasting,  ///< a region: many accesses, withdrawn now and then
  once,     ///< an offer or a message's payload: withdrawn with its op, whatever state the peer is in
};

/// What became of a put or get that was asked for.
enum class started : std::uint8_t {
  no_room,    ///< nothing; ask again at the next poll
  under_way,  ///< `on_direct` follows, at the earliest in the next poll or flush
  done,       ///< it is placed, and nothing follows; only with `placed_before_frames`
};

/// All functions are called with the engine's baton held and never block. Local memory lent to put and get stays
/// untouched until `on_direct` or a completed `quiesce`.
class remote_memory {
 public:
  virtual ~remote_memory() = default;
  virtual const memory_caps& caps() const noexcept = 0;
  /// Whether so many bytes at that key are better moved one-sided than by frames, and can be (`atomic8`: in one store).
  virtual bool takes(direct_key, std::uint64_t /*bytes*/, bool /*atomic8*/) { return true; }

  /// Owner: lets this link's peer, and nobody else, access these bytes.
  /// Errors: out_of_resources, not_supported (the engine then serves this memory by frames).
  virtual result<direct_key> share(std::span<const mutable_buffer> memory, access rights, sharing) = 0;
  /// Owner: ends it. After the return neither CPU nor hardware acting for the peer touches the memory.
  virtual void withdraw(direct_key) = 0;

  /// Initiator: starts moving local bytes to [offset, …) of the peer's memory. An error comes by `on_direct`.
  virtual started put(direct_key, std::uint64_t offset, std::span<const const_buffer> from, cookie) = 0;
  /// Initiator: the other way round.
  virtual started get(direct_key, std::uint64_t offset, std::span<const mutable_buffer> into, cookie) = 0;
  /// Initiator: `on_direct` follows when every earlier put of this link is placed. access_denied, out_of_bounds,
  /// stale_region and misaligned speak for puts under this cookie; after another error the link is given up.
  /// False: no room now.
  virtual bool flush(cookie) = 0;
};

}  // namespace kfx::backend
