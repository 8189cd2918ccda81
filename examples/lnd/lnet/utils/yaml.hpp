// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// YAML to be written, in the indentation of lnetctl.

#include <concepts>
#include <list>
#include <string>
#include <string_view>

namespace lnet {

/// A map, a list or a text, whatever is first made of it; nothing at all at first. References to parts stay good.
class yaml {
 public:
  /// A new entry of a map. The key is written as it is.
  yaml& add(std::string_view key);
  void add(std::string_view key, std::string_view value) { add(key).text_ = quoted(value); }
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  template <std::integral Number>
  void add(std::string_view key, Number value) {
    add(key).text_ = std::to_string(value);
  }
  /// A new element of a list.
  yaml& item() { return parts_.emplace_back(); }

  std::string text() const;
  /// As it is where no reader could take it for anything but this text, else in quotes.
  static std::string quoted(std::string_view);

 private:
  void write(std::string& out, std::size_t column, bool first_here) const;
  bool is_list() const { return !parts_.empty() && parts_.front().key_.empty(); }

  std::string key_, text_;
  std::list<yaml> parts_;
};

}  // namespace lnet
