// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The listening end of a control server: a socket at a path, for its owner only, gone with it.

#include <sys/stat.h>

#include <string>

#include "descriptor.hpp"

namespace lnet {

class control_socket {
 public:
  /// Throws std::system_error with a sentence.
  explicit control_socket(std::string path);
  ~control_socket();
  control_socket(const control_socket&) = delete;
  control_socket& operator=(const control_socket&) = delete;

  int get() const noexcept { return fd_.get(); }
  /// A client, or nothing: there is none, it is another user's (and closed), or `error` says why not.
  descriptor accept(int& error) const;

 private:
  std::string path_;
  descriptor fd_;
  struct stat made_ {};  ///< what is at the path, to remove nobody else's
};

}  // namespace lnet
