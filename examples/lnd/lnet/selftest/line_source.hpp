// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A console's text from a descriptor, as it comes.

#include <functional>
#include <optional>
#include <string>

namespace lnet::selftest {

class line_source {
 public:
  /// `cancelled` is asked now and then.
  line_source(int descriptor, std::function<bool()> cancelled)
      : descriptor_(descriptor), cancelled_(std::move(cancelled)) {}
  /// The next line without its end; nothing at the end of it all, or when it was cancelled.
  std::optional<std::string> next();

 private:
  bool read_more();

  const int descriptor_;
  const std::function<bool()> cancelled_;
  std::string pending_;
  bool end_ = false;
};

}  // namespace lnet::selftest
