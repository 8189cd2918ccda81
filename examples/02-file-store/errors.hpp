// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Whose fault a failure is, and how it is told: what was tried with which path, with whom when the server is
/// concerned, why, and what to do.

#include <string>
#include <system_error>

namespace store {

/// What the server refused, or what kept its answer away. All other errors of a client are of this machine, and a
/// sentence about them that named the server would send its reader to the wrong place.
class remote_error : public std::system_error {
 public:
  /// The server's word, as an errno.
  explicit remote_error(int error) : remote_error(std::error_code(error, std::generic_category())) {}
  explicit remote_error(std::error_code code) : remote_error(code, code.message(), false) {}
  /// `names_peer`: the sentence says with whom.
  remote_error(std::error_code code, std::string why, bool names_peer)
      : std::system_error(code), why_(std::move(why)), names_peer_(names_peer) {}

  const char* what() const noexcept override { return why_.c_str(); }
  bool names_peer() const noexcept { return names_peer_; }

 private:
  std::string why_;
  bool names_peer_;
};

bool is_remote(const std::system_error&) noexcept;

/// The server's answer makes no sense.
[[noreturn]] void bad_answer(const char* what);

/// What was tried.
struct attempt {
  std::string verb;
  std::string uri;
  std::string remote;   ///< path at the server
  std::string local{};  ///< path here; empty when an error of this machine says it itself
};

/// "get a/b from kfx://h:7400: No such file or directory" for what is the server's, "get: cannot write x/b: No space
/// left on device" for what is ours. Not yet `printable`.
std::string sentence(const attempt&, const std::system_error&);

}  // namespace store
