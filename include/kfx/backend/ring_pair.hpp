// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a transport of mapped memory supplies; the shared ring link (src/wire/ring_link.hpp) makes it a link.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kfx/backend/remote_memory.hpp"
#include "kfx/types.hpp"

namespace kfx::backend {

/// One-sided access beside two rings. What ends is kept until the link has a sink to report it to.
class ring_memory : public remote_memory {
 public:
  /// Calls `on_direct` for what ended before this call.
  virtual void report(frame_sink&) = 0;
  /// Nothing waits to be reported.
  virtual bool idle() const noexcept = 0;
  /// Puts and gets of that cookie are not reported; their memory is quiet when this returns.
  virtual void forget(cookie) noexcept = 0;
};

/// Two rings, one each way, and a bell. One thread at a time; nothing blocks or throws.
class ring_pair {
 public:
  /// All of it stays where it is until `close`. Whatever the peer can write is believed as far as it makes sense.
  struct memory {
    std::span<std::byte> out;          ///< zero at first, a power of two; written here, in ascending order, never read
    const std::uint64_t* out_freed{};  ///< written by the peer: how far it has read
    const_buffer in;                   ///< written by the peer
    std::uint64_t* in_freed{};         ///< written here
    std::uint32_t* own_wants{};        ///< what this side sleeps for, 0 while it is awake; either side changes it
    std::uint32_t* peer_wants{};       ///< the peer's
    bool sleeper_fences = false;       ///< the peer calls `fence` before it sleeps, and its fence reaches this side
  };
  /// Reasons to wake somebody.
  enum wants : std::uint32_t { data = 1, room = 2 };

  virtual ~ring_pair() = default;
  virtual const memory& map() const noexcept = 0;
  /// Between the word that this side sleeps and its last look at the ring, where the other side relies on it: orders
  /// the other side's stores and loads as well, so that it need not fence each time it publishes.
  virtual void fence() noexcept {}
  /// The peer sleeps: makes its handle readable.
  virtual void wake() noexcept = 0;
  /// Readable from a `wake` of the peer (or the peer's end) until `awake`.
  virtual int native_handle() const noexcept = 0;
  /// This side goes on after it slept, or looks whether the peer is still there. False: the peer is gone; what it
  /// wrote before is in the ring.
  virtual bool awake() noexcept = 0;
  /// As `link::direct`; the same from the first call on, and there after `close`.
  virtual ring_memory* direct() noexcept { return nullptr; }
  /// Both directions, at once. Idempotent.
  virtual void close() noexcept = 0;
  /// As `link::peer_address`.
  virtual std::string peer_address() const { return {}; }
  virtual std::string describe() const = 0;
};

}  // namespace kfx::backend
