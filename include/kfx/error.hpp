// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What can go wrong, as `std::error_code`. Every op ends in a value or in one of these; `op::explain()`
/// adds with whom, over what, why, and what to do.

#include <boost/system/result.hpp>
#include <string>
#include <system_error>

namespace kfx {

/// Values travel on the wire: append only, never renumber.
enum class errc : int {
  cancelled = 1,       ///< the initiator cancelled; the effect at the target is unknown
  timed_out,           ///< its deadline passed, or the peer's engine made no progress within `options::limit`
  peer_restarted,      ///< the peer is a new incarnation; ops of the old one fail, the next op just works
  session_lost,        ///< the session was given up without a restart; the effect is unknown
  stale_region,        ///< the token names memory of an earlier incarnation, or memory no longer shared
  access_denied,       ///< the region does not grant that right, or the offer is for another peer
  out_of_bounds,       ///< outside the region, or a slice outside its token
  offer_used,          ///< an offer is good for one transfer, and it has had it
  not_persistent,      ///< durability was asked of memory that has no persistence domain
  dependency_failed,   ///< the op named by `.after` failed; this one had no effect
  would_deadlock,      ///< a wait inside a handler would stop the progress it waits for
  unreachable,         ///< no transport reached the peer, or its host's name does not resolve
  refused,             ///< the peer answered and does not want this connection
  version_mismatch,    ///< the peer speaks another version of the wire format
  protocol_error,      ///< the peer broke the protocol; its session was closed
  not_found,           ///< the peer has no region published under that name
  no_backend,          ///< no backend of that name, or the host lacks what it needs
  bad_uri,             ///< the URI cannot be read
  bad_option,          ///< an option has a value it cannot have
  address_in_use,      ///< somebody else listens there
  header_too_long,     ///< a message header is limited to `limits::header`
  too_many_fragments,  ///< a buffer sequence is limited to `limits::fragments`
  truncated,           ///< the answer was longer than the buffers given for it; what fits is there
  misaligned,          ///< `write8` needs 8 bytes at a multiple of 8
  dropped,             ///< the receiver has no handler, or its handler let the message go unanswered
  rejected,            ///< the receiver refused with an error that has no code here
  node_stopped,        ///< this node is shutting down
  out_of_resources,    ///< the system refused memory, threads or descriptors
  not_supported,       ///< this build or transport cannot do that
  already_received,    ///< a message's payload is received once
  revoked,             ///< the owner withdrew the offer before it was used
  idle_closed,         ///< internal: both sides agreed to drop an idle session
};

const std::error_category& error_category() noexcept;
inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

/// What a verb's outcome is carried in: a value, or the code that says why there is none.
template <class T>
using result = boost::system::result<T, std::error_code>;

/// Thrown by constructors and by what hands out objects (`node::at`, `publish`, `allocate`), and by verbs only when the
/// system has no memory for an op: the code, and the sentence that names what failed, with whom, why, and what to do.
/// (`result::value()` throws the plain `std::system_error` of Boost's result.)
class error : public std::system_error {
 public:
  error(std::error_code code, std::string sentence) : std::system_error(code), sentence_(std::move(sentence)) {}
  const char* what() const noexcept override { return sentence_.c_str(); }

 private:
  std::string sentence_;
};

}  // namespace kfx

template <>
struct std::is_error_code_enum<kfx::errc> : std::true_type {};
