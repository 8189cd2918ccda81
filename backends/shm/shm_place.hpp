// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Where processes of one host find each other: a unix socket in a directory that is its owner's alone. A killed
/// process leaves the socket's name behind; whoever finds that nobody answers there takes it away, and whoever listens
/// next in the user's own directory looks at all names.

#include <optional>
#include <string>
#include <vector>

#include "backends/shm/descriptor.hpp"
#include "kfx/backend/backend.hpp"

namespace kfx::shm {

struct place {
  std::string directory;
  std::string name;
  bool own_directory = false;  ///< made for kfx: goes away with its last name

  std::string path() const { return directory + "/" + name; }
};

/// Where to listen: `shm://name` (in the user's own directory) or `shm:///absolute/path`. Errors: bad_uri,
/// out_of_resources (no directory that is safe), with a sentence.
std::variant<place, kfx::backend::failure> place_of(const kfx::backend::uri&);

/// Where to connect to, in turn: a name may be in any of the user's own directories.
std::variant<std::vector<place>, kfx::backend::failure> places_of(const kfx::backend::uri&);

/// A listening socket there. Errors: address_in_use, access_denied, bad_uri (too long), out_of_resources.
std::variant<descriptor, kfx::backend::failure> listen_at(const place&);
/// Takes the name away, if it still names `listener`.
void leave(const place&, const descriptor& listener);
/// Takes the name away when nobody answers there.
void bury(const place&);

/// A socket on its way to who listens there; not yet when `again`: too many are on their way.
struct approach {
  descriptor socket;
  bool again = false;
  int error = 0;
};
approach connect_to(const place&);

/// The process that connected or listened at the other end, as far as it can be told: "shm://pid=4711,uid=1000".
std::string peer_of(const descriptor& socket);

/// Whether the process at the other end may share memory with this one: it is the same user's, or the superuser's.
bool trusted(const descriptor& socket, std::string& why);

}  // namespace kfx::shm
