// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// From what a user wrote to what the connection manager works with: targets, settings of a session, addresses.

#include <string>
#include <string_view>
#include <vector>

#include "engine/session.hpp"
#include "kfx/backend/backend.hpp"
#include "kfx/options.hpp"

namespace kfx::cm {

struct named_target {
  backend::uri uri;
  engine::session_settings settings;
  std::string require;  ///< for kfx://: the only backend to use
};

engine::session_settings settings_of(const options& o);
/// Reads a peer's URI with its query. Throws kfx::error: bad_uri, bad_option, no_backend.
named_target read_target(std::string_view text, const options& defaults);
/// The backend of that name, able to work here. Throws kfx::error (no_backend); `text` is what asked for it.
backend::backend& need_backend(const std::string& name, const std::string& text);

/// What stays the same when the node is started anew: the option, else made of host name and first address, else "".
std::string stable_name(const options& o, const std::vector<std::string>& addresses);
/// Scheme, host, port and path: what two ways of writing one address have in common. "" when it cannot be read.
std::string place_of(const backend::uri& u);
std::string place_of(const std::string& uri);
/// Good on one host only ("127.0.0.1", "localhost").
bool local_only(const backend::uri& u);
/// A listener's address, or, when that is "every address of this host", those that others can reach it at.
std::vector<std::string> dialable(const std::string& listener_address);

}  // namespace kfx::cm
