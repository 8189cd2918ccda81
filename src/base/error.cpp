// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/error.hpp"

#include <cstddef>
#include <iterator>

namespace kfx {

namespace {

struct entry {
  errc code;
  const char* text;
};

// One sentence each: the cause, and what mends it.
constexpr entry sentences[] = {
    {errc::cancelled,
     "cancelled by its initiator, the effect at the target is unknown: repeat it if it must have happened"},
    {errc::timed_out,
     "timed out, its deadline passed or the peer's engine made no progress: see whether the peer hangs, or "
     "raise the deadline or KFX_LIMIT"},
    {errc::peer_restarted,
     "the peer restarted and lost what was under way: obtain its tokens anew and repeat the operation"},
    {errc::session_lost,
     "the session with the peer was given up, the effect is unknown: check the target's state, then repeat"},
    {errc::stale_region,
     "the token is empty or names memory that is no longer shared: obtain a new one from its owner"},
    {errc::access_denied, "the memory is not shared with this peer for that access: ask its owner for the right"},
    {errc::out_of_bounds,
     "the range lies outside the region or its token: check offset and length against the token's"},
    {errc::offer_used, "the offer was used already and is good for one transfer: ask its owner for another"},
    {errc::not_persistent,
     "the memory has no persistence domain, so nothing can be made durable in it: share a mapped file or "
     "persistent memory, or drop .durable"},
    {errc::dependency_failed, "the operation named by .after failed, so this one had no effect: see that one's result"},
    {errc::would_deadlock,
     "waiting inside a handler would stop the progress it waits for: use then(), a completion token or "
     "co_await"},
    {errc::unreachable,
     "no transport reached the peer: check that its name resolves, that it runs and listens there, and the firewall"},
    {errc::refused, "the peer answered and refused the connection: see its log or its options for why"},
    {errc::version_mismatch,
     "the other side speaks another version of the format or interface: use matching versions of kfx"},
    {errc::protocol_error,
     "the bytes received break the protocol, so the session was closed: check that both ends are kfx and "
     "report it if they are"},
    {errc::not_found, "the peer has nothing by that name: check its spelling and that the peer published it"},
    {errc::no_backend, "no such backend is available here: see kfx::backends() for what is, and why others are not"},
    {errc::bad_uri, "the URI cannot be read: write scheme://host:port/path?key=value"},
    {errc::bad_option,
     "an option has a value it cannot have: see kfx/options.hpp (a node's and a URI's) or kfx/op_options.hpp (a "
     "verb's)"},
    {errc::address_in_use, "the address is in use by another socket or process: choose another port, or 0 for any"},
    {errc::header_too_long, "a message header holds at most limits::header bytes: move the rest to the payload"},
    {errc::too_many_fragments,
     "a buffer sequence holds at most limits::fragments spans: merge spans or split the operation"},
    {errc::truncated,
     "the answer was longer than the buffers given for it, which hold what fits: offer larger buffers"},
    {errc::misaligned, "an atomic write takes 8 bytes at a multiple of 8: align offset and length"},
    {errc::dropped, "the receiver dropped the message: set on_message there, and answer messages that want a reply"},
    {errc::rejected, "the receiver rejected it with an error of its own: see its log"},
    {errc::node_stopped, "this node is shutting down: keep it alive until its operations have ended"},
    {errc::out_of_resources,
     "the system refused memory, threads or descriptors: free some, or raise the limit (ulimit, cgroup)"},
    {errc::not_supported, "this build or transport cannot do that: choose another transport, or a build that has it"},
    {errc::already_received, "the message's payload was received already: keep the buffers of the first receive()"},
    {errc::revoked, "the owner withdrew the offer before it was used: ask for another if it is still wanted"},
    {errc::idle_closed, "the idle session was dropped by agreement: the next operation connects again"},
};

constexpr bool complete() {
  int value = 0;
  for (const entry& e : sentences)
    if (static_cast<int>(e.code) != ++value) return false;
  return value == static_cast<int>(errc::idle_closed);
}
static_assert(complete(), "every code has its sentence, in the order of the enumeration");

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "kfx"; }
  std::string message(int value) const override {
    const auto place = static_cast<std::size_t>(value) - 1;  // 0 and less become very large
    return place < std::size(sentences) ? sentences[place].text : "unknown kfx error: the peer may run a newer version";
  }

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
