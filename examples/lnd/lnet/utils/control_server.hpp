// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Lets management programs of this host talk to a running LNet: requests as lines, answers as YAML with an end mark
/// (request.hpp, commands.hpp), over a unix socket.

#include <memory>
#include <string>

#include "management.hpp"

namespace lnet {

/// Serves one request at a time, on a thread of its own. Only the user who runs it, and root, get in. Clients may
/// send several lines at once, and each gets its answer; a line that makes no sense gets one that says so. With more
/// clients than it takes, whoever was silent longest has to go.
class control_server {
 public:
  static constexpr std::size_t most_clients = 64;

  /// `m` outlives it. What a dead server left at that path is replaced. Throws std::system_error with a sentence: a
  /// server is there already, something else is, the folder is not ours to write to.
  control_server(std::string path, management& m);
  /// Waits for the request that is under way. The path is gone then.
  ~control_server();
  control_server(const control_server&) = delete;
  control_server& operator=(const control_server&) = delete;

 private:
  class service;
  std::unique_ptr<service> service_;
};

}  // namespace lnet
