// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What the engine needs of the node above it.

#include <cstdint>
#include <memory>
#include <string_view>

#include "kfx/node.hpp"
#include "kfx/options.hpp"

namespace kfx::engine {

class session;

/// The handlers a node has now. Replaced as a whole, never changed in place.
struct handlers {
  detail::message_handler message;
  detail::notify_handler notify;
  detail::peer_handler peer;
};

class host {
 public:
  virtual ~host() = default;
  virtual const options& settings() const noexcept = 0;
  virtual std::uint64_t incarnation() const noexcept = 0;
  /// They live as long as the node.
  virtual const handlers* current_handlers() const noexcept = 0;
  /// The token published under a name, empty when there is none. Any thread.
  virtual remote_region published(std::string_view name) const = 0;
  /// The session has ops and no link. Any thread, baton held; connecting happens on the control thread.
  virtual void want_link(session&) = 0;
  /// The session's link died or was closed (baton held).
  virtual void lost_link(session&) = 0;
  /// Handlers are about to run for the first time since all were quiet: watch that they do not stop progress.
  virtual void watch_handlers() = 0;
  /// An op with a deadline, a session without a link: time passes. Any thread.
  virtual void want_ticks() = 0;
};

}  // namespace kfx::engine
