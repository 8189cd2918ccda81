// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A console's text as statements: words between blanks, one statement a line or several with `;` between. Quotes and
/// backslashes as in a shell, `#` begins a comment.

#include <string>
#include <string_view>
#include <vector>

namespace lnet::selftest {

struct statement {
  unsigned line = 0;  ///< from 1
  std::vector<std::string> words;
};

/// False: `why` says what is wrong and in which line. Statements without words are left out.
bool parse_script(std::string_view text, std::vector<statement>& out, std::string& why);

}  // namespace lnet::selftest
