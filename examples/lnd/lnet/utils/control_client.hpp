// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The other end of a control server.

#include <chrono>
#include <string>

#include "descriptor.hpp"
#include "request.hpp"

namespace lnet {

/// One thread.
class control_client {
 public:
  /// Throws std::system_error with a sentence: nobody is there, or not for us.
  explicit control_client(const std::string& path, std::chrono::seconds patience = std::chrono::seconds(180));
  /// Throws std::system_error: it went, it did not answer in that time, or not with what a server says.
  answer ask(const std::string& line);

 private:
  [[noreturn]] void fail(int error, const std::string& what) const;

  std::string path_;
  descriptor fd_;
};

}  // namespace lnet
