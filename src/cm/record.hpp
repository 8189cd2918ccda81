// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What the connection manager keeps of each session.

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/session.hpp"
#include "kfx/backend/backend.hpp"

namespace kfx::cm {

/// Belongs to the control thread, but for what is constant and what is atomic. The session inside is its home
/// partition's: look at it with the baton.
struct record : std::enable_shared_from_this<record> {
  record(boost::asio::io_context& io, std::shared_ptr<engine::session> s) : session(std::move(s)), changed(io) {}

  const std::shared_ptr<engine::session> session;
  backend::uri target;  ///< what to connect to; no scheme: nothing, wait for the peer
  std::string scheme;   ///< as the one who connected first named it
  std::string require;  ///< the only backend to move up to, for kfx://
  bool named = false;   ///< by node::at(): kept while the node lives
  bool traced = false;  ///< its URI is where its link comes from
  bool self = false;    ///< the accepting end of a connection of this node with itself

  std::atomic<bool> asked{false};  ///< a wish to connect is on its way to the control thread
  std::atomic<bool> lost{false};   ///< so is the news that the link is gone

  std::uint64_t id = 0;        ///< of the session as last agreed; stays known after the session was reset
  std::uint64_t proposed = 0;  ///< for a fresh session; the same until somebody agreed to it
  std::uint64_t given_up = 0;  ///< proposed once, and never in use here; the peer may have agreed to it nevertheless
  bool separate = false;       ///< there is another session with this peer, and this one is meant too
  bool connecting = false;     ///< a coroutine tries
  bool dialling = false;       ///< right now: its hello may be under way
  clock::time_point since{};   ///< when that began
  std::uint64_t ticket = 0;    ///< whoever took the last one decides which link the session gets
  bool told_up = false;
  boost::asio::steady_timer changed;  ///< cancelled when the session got a link from elsewhere
};

}  // namespace kfx::cm
