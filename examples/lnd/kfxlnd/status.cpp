// SPDX-License-Identifier: BSD-2-Clause
#include "status.hpp"

#include "kfx/error.hpp"

namespace kfxlnd {

using lnet::health_status;

status status_of(std::error_code e) noexcept {
  if (!e) return {};
  // What the peer's LNet said of the message; it has had it.
  if (e.category() == std::generic_category() || e.category() == std::system_category())
    return {-e.value(), health_status::ok};
  if (e.category() != kfx::error_category()) return {-EIO, health_status::local_error};
  switch (static_cast<kfx::errc>(e.value())) {
    case kfx::errc::timed_out:
      return {-ETIMEDOUT, health_status::network_timeout};
    case kfx::errc::unreachable:
    case kfx::errc::refused:
    case kfx::errc::not_found:
      return {-EHOSTUNREACH, health_status::remote_dropped};
    case kfx::errc::peer_restarted:
    case kfx::errc::session_lost:
    case kfx::errc::protocol_error:
    case kfx::errc::version_mismatch:
      return {-ECONNRESET, health_status::remote_error};
    case kfx::errc::dropped:
    case kfx::errc::rejected:
    case kfx::errc::stale_region:
    case kfx::errc::access_denied:
    case kfx::errc::out_of_bounds:
    case kfx::errc::offer_used:
      return {-EPROTO, health_status::remote_error};
    case kfx::errc::node_stopped:
    case kfx::errc::cancelled:
    case kfx::errc::revoked:
      return {-ECANCELED, health_status::local_aborted};
    case kfx::errc::out_of_resources:
      return {-ENOMEM, health_status::local_error};
    default:
      return {-EIO, health_status::local_error};
  }
}

}  // namespace kfxlnd
