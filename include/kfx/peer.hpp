// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Another node, and the verbs.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kfx/detail/initiate.hpp"
#include "kfx/op.hpp"
#include "kfx/op_options.hpp"
#include "kfx/region.hpp"
#include "kfx/remote_region.hpp"

namespace kfx {

namespace detail {
struct peer_state;
/// Everything a verb can be told; `kind` says what counts.
struct request {
  verb kind = verb::none;
  const_buffers from{};
  const_buffers header{};
  mutable_buffers into{};
  std::span<const remote_region> where{};
  std::string_view name{};
  op_options options{};
};
/// Never fails: what is wrong with the request is the op's result. Any thread.
op_state* start(peer_state&, const request&);
/// The same for the usual verbs, without a request for those that ask for nothing special.
op_state* start_write(peer_state&, const const_buffers&, const remote_region&, const op_options&);
op_state* start_read(peer_state&, const mutable_buffers&, const remote_region&, const op_options&);
op_state* start_send(peer_state&, const const_buffers& header, const const_buffers& payload, const op_options&);
op_state* start_reject(peer_state&, const remote_region&, std::error_code, const op_options&);
}  // namespace detail

/// Another node, named by a URI or met through its messages. A cheap shared handle: copying it is copying a
/// pointer. Any thread. Nothing happens until the first verb: that connects; an unused connection is dropped; a
/// broken one comes back and ops under way go on.
///
/// Every verb returns an `op`, or takes an Asio completion token of signature
/// `void(boost::system::error_code, kfx::done)` as its last argument. A verb never fails because something is
/// full. Buffer sequences are copied at submission, the bytes are not: they stay valid (and, when read from,
/// unchanged) until the op ends.
///
/// A handler's code compares with `kfx::errc`. One that was cancelled gets `kfx::errc::cancelled`, which is
/// `std::errc::operation_canceled` too, but not `boost::asio::error::operation_aborted`.
///
/// One that was made by default or moved from is empty: it may be assigned to, compared, destroyed, and asked whether
/// it is `valid()`; nothing else.
class peer {
 public:
  peer() = default;
  explicit peer(std::shared_ptr<detail::peer_state> s) noexcept : s_(std::move(s)) {}
  bool valid() const noexcept { return s_ != nullptr; }

  /// Local bytes to the peer's memory. Longer than the token: `out_of_bounds`. Done when the peer has them.
  template <class Token = as_op_t>
  auto write(const_buffers from, const remote_region& to, const op_options& o = {}, Token&& token = Token{}) const {
    if constexpr (std::is_same_v<std::remove_cvref_t<Token>, as_op_t>)
      return op<done>(detail::start_write(*s_, from, to, o));
    else
      return detail::initiate<done>(std::forward<Token>(token),
                                    [s = s_.get(), from, to, o] { return detail::start_write(*s, from, to, o); });
  }

  /// The peer's memory to local bytes.
  template <class Token = as_op_t>
  auto read(mutable_buffers into, const remote_region& from, const op_options& o = {}, Token&& token = Token{}) const {
    if constexpr (std::is_same_v<std::remove_cvref_t<Token>, as_op_t>)
      return op<done>(detail::start_read(*s_, into, from, o));
    else
      return detail::initiate<done>(std::forward<Token>(token),
                                    [s = s_.get(), into, from, o] { return detail::start_read(*s, into, from, o); });
  }

  /// A message. Done when the receiver has taken or dropped it, with its status and the bytes it took; with
  /// `.reply`, when the reply is there, with the reply's bytes. For bulk data `write` and `read` are faster on some
  /// transports (docs/performance.md, "Which verb for bulk data").
  template <class Token = as_op_t>
  auto send(const_buffers header, const_buffers payload = {}, const op_options& o = {}, Token&& token = Token{}) const {
    if constexpr (std::is_same_v<std::remove_cvref_t<Token>, as_op_t>)
      return op<done>(detail::start_send(*s_, header, payload, o));
    else
      return detail::initiate<done>(std::forward<Token>(token), [s = s_.get(), header, payload, o] {
        return detail::start_send(*s, header, payload, o);
      });
  }

  /// Makes every earlier write of this lane to these ranges durable. `not_persistent` when the memory has no
  /// persistence domain. Failure or timeout means unknown; committing again is harmless.
  template <class Token = as_op_t>
  auto commit(std::span<const remote_region> ranges, const op_options& o = {}, Token&& token = Token{}) const {
    return detail::initiate<done>(std::forward<Token>(token), [s = s_.get(), ranges, o] {
      return detail::start(*s, {.kind = detail::verb::commit, .where = ranges, .options = o});
    });
  }
  template <class Token = as_op_t>
  auto commit(const remote_region& range, const op_options& o = {}, Token&& token = Token{}) const {
    return detail::initiate<done>(std::forward<Token>(token), [s = s_.get(), range, o] {
      return detail::start(*s, {.kind = detail::verb::commit, .where = {&range, 1}, .options = o});
    });
  }

  /// The region the peer published under that name. `not_found` when there is none, `bad_option` for a name longer than
  /// any can be (`limits::name`).
  template <class Token = as_op_t>
  auto open(std::string_view name, const op_options& o = {}, Token&& token = Token{}) const {
    return detail::initiate<remote_region>(std::forward<Token>(token), [s = s_.get(), name, o] {
      return detail::start(*s, {.kind = detail::verb::open, .name = name, .options = o});
    });
  }

  /// Memory for this peer alone, for one remote read (`access::read`), one write (`access::write`), or whichever of
  /// them the peer chooses (`access::read_write`).
  kfx::offer offer(mutable_buffers memory, access rights, const op_options& o = {}) const;

  /// Answers an offer of the peer without using it: its owner's op ends with `why`.
  template <class Token = as_op_t>
  auto reject(const remote_region& offered, std::error_code why, const op_options& o = {},
              Token&& token = Token{}) const {
    return detail::initiate<done>(std::forward<Token>(token), [s = s_.get(), offered, why, o] {
      return detail::start_reject(*s, offered, why, o);
    });
  }

  /// Ends the session, now and on both sides: every op under way ends, here with `why`, over there with `session_lost`;
  /// what had reached the other side may have taken effect. (A peer that does not hear of it, because the connection
  /// breaks at that moment, finds out when one of the two connects again.) Offers end with it, and who keeps a message
  /// answers in vain. The next verb begins a new session. For a peer that breaks the rules of what is spoken over kfx,
  /// and for operators. Any thread, and handlers.
  void close(std::error_code why = make_error_code(errc::cancelled)) const;
  /// As `op::cancel`, for an op towards this peer whose handle was given away (`then`, a token, `detach`). Ids are
  /// never used twice: one that has ended is left alone. Any thread, and handlers.
  void cancel(op_id) const noexcept;
  /// A word of the program's own, kept with the session: who this is, say. 0 at first. Any thread.
  std::uint64_t tag() const noexcept;
  void set_tag(std::uint64_t) const noexcept;

  /// The URI it was named by. Of a peer that came by itself: an address that it listens at, or if there is none, the
  /// one it came from ("tcp://127.0.0.1:49304", "shm://pid=4711,uid=1000"), which changes when it comes anew.
  std::string uri() const;
  /// Which transport was chosen, which were passed over, and why; the state of the connection.
  std::string explain() const;
  /// Whether there is a connection now.
  bool connected() const noexcept;
  /// The same session? (Two URIs of one node may be two sessions.)
  friend bool operator==(const peer&, const peer&) noexcept;

  const std::shared_ptr<detail::peer_state>& state() const noexcept { return s_; }

 private:
  std::shared_ptr<detail::peer_state> s_;
};

}  // namespace kfx
