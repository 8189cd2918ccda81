// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link: an ordered, lossless channel of frames to one peer that is either alive or dead, never half.
///
/// A frame is a head and a body. Its first four bytes are its whole length, byte 5 the head's length in units of
/// 8 (docs/wire-format.md); a link needs no other field. One thread at a time calls a link (the engine's baton);
/// no function blocks; no function throws.

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "kfx/backend/frame_sink.hpp"
#include "kfx/backend/remote_memory.hpp"
#include "kfx/types.hpp"

namespace kfx::backend {

struct link_caps {
  std::size_t align = 1;                       ///< each frame in a window starts at a multiple of this
  std::size_t max_window = 64 * 1024;          ///< the most `reserve` can ever lend; at least `whole_limit`
  std::size_t max_body = limits::frame;        ///< the most `post` takes
  std::chrono::milliseconds quiesce_bound{0};  ///< the longest a `quiesce` that answered false can take
  bool looks_at_memory = false;                ///< `waiting` tells, and costs a look at memory
};

/// What a link sleeps on. fd < 0: nothing to sleep on, poll again.
struct wait_handle {
  int fd = -1;
  bool readable = true;
  bool writable = false;  ///< also wake when there is room again
};

class link {
 public:
  virtual ~link() = default;
  virtual const link_caps& caps() const noexcept = 0;

  /// Space in which to build whole frames, back to back, ascending and write-only (it may be write-combining
  /// memory). At least `at_least` bytes (at most `max_window`), or empty under back-pressure. Valid until
  /// `commit` or `post`; unused space needs no return. (One word of the last head may be stored once more, just
  /// before.)
  virtual std::span<std::byte> reserve(std::size_t at_least) = 0;
  /// The first `bytes` of the window are frames. They go out at the next `flush` at the latest.
  virtual void commit(std::size_t bytes) = 0;

  /// A frame whose body stays where it is until `on_sent(cookie)`: gathered by the wire, or copied before this
  /// returns (then `on_sent` still comes, in a later poll or flush). The head is copied.
  /// False: no room now; nothing was taken.
  virtual bool post(const_buffer head, std::span<const const_buffer> body, cookie) = 0;

  /// Moves what was committed and posted towards the wire, as far as it goes without blocking.
  /// An error means the link is dead.
  virtual std::error_code flush(frame_sink&) = 0;

  /// Receives: up to about `budget` frames go to the sink. `frames` counts them (0: nothing was there).
  /// An error means the link is dead; frames already handed over stay valid.
  struct polled {
    unsigned frames = 0;
    bool partial = false;  ///< bytes of an unfinished frame arrived: stay awake
    bool unsent = true;  ///< a `flush` may have something to do, though nothing was committed or posted since the last
    std::error_code error{};
  };
  virtual polled poll(frame_sink&, unsigned budget) = 0;
  /// A poll would find something. Called in a tight loop between polls, where `caps().looks_at_memory`.
  virtual bool waiting() const noexcept { return false; }

  /// The engine must have all memory lent under `cookie` (every post, put and get that named it; several may have
  /// named the same) back now. True: it is quiet already
  /// (a half-sent body was finished from a copy), and no `on_sent`/`on_direct` follows. False: `on_quiet(cookie)`
  /// comes within `quiesce_bound`, whatever the peer does. Unknown cookies are quiet.
  virtual bool quiesce(cookie) = 0;

  /// The landing answered by the last `on_bulk` is withdrawn: the rest of that body is discarded.
  virtual void divert() = 0;

  /// One-sided access, or null. Lives as long as the link.
  virtual remote_memory* direct() noexcept { return nullptr; }

  /// Prepares to sleep: from now until the next `poll` the handle signals when there may be something to poll (also
  /// what came before this call), or room after back-pressure. Spurious signals are harmless. Ends a window.
  virtual wait_handle arm() = 0;

  /// Ends the link. Afterwards no memory is touched, by CPU or hardware, on behalf of this link, and nothing the
  /// peer sent on it is handed over any more. Cookies are not reported. Idempotent.
  virtual void close() = 0;

  /// What carries it, by the system's name ("eth0", "mlx5_0"), so that its work can be done near it; "" when nothing
  /// does, or it is not known.
  virtual std::string device() const { return {}; }

  /// Where the other end is, as a URI that is short enough for each line of a log: "tcp://127.0.0.1:51234"; what has no
  /// addresses says what is known of the other end ("shm://pid=4711,uid=1000"). "" when that is nothing.
  virtual std::string peer_address() const { return {}; }

  /// For people: "tcp 127.0.0.1:7400 -> 127.0.0.1:51234".
  virtual std::string describe() const = 0;
};

}  // namespace kfx::backend
