// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What lnetctl asks of a running LNet: one line of words, "net add --net kfx1 --if eth0,eth1 --cpt 0-1".

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lnet {

struct request {
  static constexpr std::size_t longest = 4096;  ///< characters of a line

  std::vector<std::string> words;                             ///< "net", "add"
  std::map<std::string, std::string, std::less<>> options{};  ///< "--net": "kfx1"; "--verbose": ""

  /// False, and `why` says so: nothing there, too long, characters other than printable ASCII, an option twice.
  static bool parse(std::string_view line, request& out, std::string& why);
  /// False, and `why`: something that a line cannot carry (a space in a word).
  bool line(std::string& out, std::string& why) const;
};

struct answer {
  int status = 0;    ///< 0 or -errno
  std::string yaml;  ///< whole lines; none: it is done, and there is nothing to say
};

/// Follows an answer on a line of its own and is YAML's own mark of the end, with the status in a comment.
inline constexpr std::string_view end_mark = "... # ";

}  // namespace lnet
