// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/error.hpp"

namespace kfx {

namespace {

// One sentence each: the cause, and what mends it.
const char* sentence(errc e) noexcept {
  switch (e) {
    case errc::cancelled:
      return "cancelled by its initiator, the effect at the target is unknown: repeat it if it must have happened";
    case errc::timed_out:
      return "timed out, its deadline passed or the peer's engine made no progress: see whether the peer hangs, or "
             "raise the deadline or KFX_LIMIT";
    case errc::peer_restarted:
      return "the peer restarted and lost what was under way: obtain its tokens anew and repeat the operation";
    case errc::session_lost:
      return "the session with the peer was given up, the effect is unknown: check the target's state, then repeat";
    case errc::stale_region:
      return "the token names memory that is no longer shared: obtain a new one from its owner";
    case errc::access_denied:
      return "the memory is not shared with this peer for that access: ask its owner for the right";
    case errc::out_of_bounds:
      return "the range lies outside the region or its token: check offset and length against the token's";
    case errc::offer_used:
      return "the offer was used already and is good for one transfer: ask its owner for another";
    case errc::not_persistent:
      return "the memory has no persistence domain, so nothing can be made durable in it: share a mapped file or "
             "persistent memory, or drop .durable";
    case errc::dependency_failed:
      return "the operation named by .after failed, so this one had no effect: see that one's result";
    case errc::would_deadlock:
      return "waiting inside a handler would stop the progress it waits for: use then(), a completion token or "
             "co_await";
    case errc::unreachable:
      return "no transport reached the peer: check that it runs and listens at that address, and the firewall";
    case errc::refused:
      return "the peer answered and refused the connection: see its log or its options for why";
    case errc::version_mismatch:
      return "the other side speaks another version of the format or interface: use matching versions of kfx";
    case errc::protocol_error:
      return "the bytes received break the protocol, so the session was closed: check that both ends are kfx and "
             "report it if they are";
    case errc::not_found:
      return "nothing goes by that name: check its spelling and that the peer published it or the host name resolves";
    case errc::no_backend:
      return "no such backend is available here: see kfx::backends() for what is, and why others are not";
    case errc::bad_uri:
      return "the URI cannot be read: write scheme://host:port/path?key=value";
    case errc::bad_option:
      return "an option has a value it cannot have: see kfx/options.hpp for what it takes";
    case errc::address_in_use:
      return "the address is in use by another socket or process: choose another port, or 0 for any";
    case errc::header_too_long:
      return "a message header holds at most limits::header bytes: move the rest to the payload";
    case errc::too_many_fragments:
      return "a buffer sequence holds at most limits::fragments spans: merge spans or split the operation";
    case errc::truncated:
      return "the answer was longer than the buffers given for it, which hold what fits: offer larger buffers";
    case errc::misaligned:
      return "an atomic write takes 8 bytes at a multiple of 8: align offset and length";
    case errc::dropped:
      return "the receiver dropped the message: set on_message there, and answer messages that want a reply";
    case errc::rejected:
      return "the receiver rejected it with an error of its own: see its log";
    case errc::node_stopped:
      return "this node is shutting down: keep it alive until its operations have ended";
    case errc::out_of_resources:
      return "the system refused memory, threads or descriptors: free some, or raise the limit (ulimit, cgroup)";
    case errc::not_supported:
      return "this build or transport cannot do that: choose another transport, or a build that has it";
    case errc::already_received:
      return "the message's payload was received already: keep the buffers of the first receive()";
    case errc::revoked:
      return "the owner withdrew the offer before it was used: ask for another if it is still wanted";
    case errc::idle_closed:
      return "the idle session was dropped by agreement: the next operation connects again";
  }
  return "unknown kfx error: the peer may run a newer version";
}

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "kfx"; }
  std::string message(int value) const override { return sentence(static_cast<errc>(value)); }

  // So that callers may test for the general kind without knowing kfx.
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::cancelled:
        return std::errc::operation_canceled;
      case errc::timed_out:
        return std::errc::timed_out;
      case errc::access_denied:
        return std::errc::permission_denied;
      case errc::would_deadlock:
        return std::errc::resource_deadlock_would_occur;
      case errc::unreachable:
        return std::errc::host_unreachable;
      case errc::refused:
        return std::errc::connection_refused;
      case errc::protocol_error:
        return std::errc::protocol_error;
      case errc::bad_uri:
      case errc::bad_option:
        return std::errc::invalid_argument;
      case errc::address_in_use:
        return std::errc::address_in_use;
      case errc::not_supported:
        return std::errc::not_supported;
      default:
        return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const category instance;
  return instance;
}

}  // namespace kfx
