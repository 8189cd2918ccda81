// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a link calls while it is polled. Implemented by the engine; every call comes from inside `link::poll`,
/// `link::flush` or `link::quiesce`, on the thread that made that call.

#include <cstdint>
#include <span>
#include <system_error>

#include "kfx/types.hpp"

namespace kfx::backend {

/// Opaque to the link: what the engine wants back when memory it lent is free again. Never used for two things, and
/// never 0.
using cookie = std::uint64_t;

/// Frames up to this size (head and body) are always handed over whole.
inline constexpr std::size_t whole_limit = 16 * 1024;

class frame_sink {
 public:
  virtual ~frame_sink() = default;

  /// A frame whose bytes are all here. Head and body are valid during the call only.
  /// False: the link stops polling. The frame is malformed or unwanted, and the engine closes the link; or, on one that
  /// `looks_at_memory`, it was enough for now, and what follows it is for the next poll.
  virtual bool on_frame(const_buffer head, const_buffer body) = 0;

  /// A frame larger than `whole_limit` begins: where shall its `body_size` bytes go? The fragments (and the array
  /// that lists them) stay valid until `on_bulk_done` or `link::divert`; they may hold fewer bytes than the body,
  /// then the rest is discarded. Links that have the whole body at hand may call `on_frame` instead.
  virtual std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t body_size) = 0;

  /// All bytes of the frame announced by the last `on_bulk` have landed or were discarded. False: as above.
  virtual bool on_bulk_done() = 0;

  /// The body lent by `link::post` under this cookie is no longer referenced by the link. Once per post.
  virtual void on_sent(cookie) = 0;

  /// Ends a `quiesce` that answered false.
  virtual void on_quiet(cookie) = 0;

  /// A put, get or flush of `remote_memory` ended. On success of a put: the bytes are placed, or will be before
  /// any later frame or put of this link is seen by the target. An error leaves the placement unknown.
  virtual void on_direct(cookie, std::error_code) = 0;
};

}  // namespace kfx::backend
