// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A message that arrived.

#include <cassert>
#include <utility>

#include "kfx/detail/initiate.hpp"
#include "kfx/op.hpp"
#include "kfx/types.hpp"

namespace kfx {

class peer;

namespace detail {
const_buffer message_header(const op_state&) noexcept;
std::uint64_t message_payload_size(const op_state&) noexcept;
bool message_wants_reply(const op_state&) noexcept;
op_state* message_receive(op_state&, mutable_buffers into);
op_state* message_reply(op_state&, const_buffers header, const_buffers payload);
void message_reply_copy(op_state&, const_buffers header);
void message_reject(op_state&, std::error_code) noexcept;
void message_drop(op_state&) noexcept;
}  // namespace detail

/// A header, and a payload whose receiver decides where it goes. Move-only. One thread at a time, any thread, and
/// for as long as needed: keeping it keeps this message's credit and nothing else.
///
/// Once it is replied to, rejected, let go of or moved from, it is over and empty (`valid()` is false), as one that was
/// made by default: such a one may be assigned to, destroyed, asked whether it is valid, and let go of. All else is a
/// mistake of the program, which ends at an assertion where those are on.
///
/// The sender's op ends when the message is replied to, rejected, or destroyed. Destroying it unreceived discards
/// the payload; destroying it while `receive` is under way, or unanswered when a reply is awaited, ends the sender's
/// op with `dropped`.
class message {
 public:
  message() = default;
  explicit message(detail::op_state* s) noexcept : s_(s) {}
  message(message&& o) noexcept : s_(std::exchange(o.s_, nullptr)) {}
  message& operator=(message&& o) noexcept {
    if (this != &o) {
      if (s_) detail::message_drop(*s_);
      s_ = std::exchange(o.s_, nullptr);
    }
    return *this;
  }
  ~message() {
    if (s_) detail::message_drop(*s_);
  }

  bool valid() const noexcept { return s_ != nullptr; }
  /// Valid while the message lives.
  const_buffer header() const noexcept { return detail::message_header(state()); }
  std::uint64_t payload_size() const noexcept { return detail::message_payload_size(state()); }
  kfx::lane lane() const noexcept { return state().lane; }
  /// The sender waits for `reply()`.
  bool wants_reply() const noexcept { return detail::message_wants_reply(state()); }
  /// Who sent it; a peer to send to, offer to, and so on.
  kfx::peer from() const;

  /// Places the payload, once; a shorter buffer sequence takes that much and the rest is discarded. The message
  /// must live until the op ends. Errors: already_received, and whatever ends the session; unless the holder answers
  /// otherwise, the sender's op ends with that error too.
  template <class Token = as_op_t>
  auto receive(mutable_buffers into, Token&& token = Token{}) {
    return detail::initiate<done>(std::forward<Token>(token),
                                  [s = &state(), into] { return detail::message_receive(*s, into); });
  }

  /// Answers, copying the header (up to `limits::header`; it may be this message's own); the message is over. Never
  /// fails for want of room.
  void reply(const_buffers header) { detail::message_reply_copy(*over(), header); }
  /// Answers with a payload. The header is copied as above; the payload stays valid until the op ends, which is when
  /// the sender has it, and so must not be this message's own header.
  template <class Token = as_op_t>
  auto reply(const_buffers header, const_buffers payload, Token&& token = Token{}) {
    return detail::initiate<done>(std::forward<Token>(token),
                                  [s = over(), header, payload] { return detail::message_reply(*s, header, payload); });
  }
  /// Ends the sender's op with this error: a `kfx::errc`, an errno (generic or system category), else `rejected`.
  void reject(std::error_code why) noexcept { detail::message_reject(*over(), why); }

  /// What destroying it does, earlier: the message is over. A handler that has no more use for it and sends something
  /// says so first; then one frame carries both, and does not wait for the handler's return.
  void let_go() noexcept {
    if (s_) detail::message_drop(*over());
  }

  detail::op_state* release_state() noexcept { return std::exchange(s_, nullptr); }

 private:
  detail::op_state& state() const noexcept {
    assert(s_ && "the message is over, or empty");
    return *s_;
  }
  detail::op_state* over() noexcept {
    assert(s_ && "the message is over, or empty");
    return std::exchange(s_, nullptr);
  }

  detail::op_state* s_ = nullptr;
};

}  // namespace kfx
