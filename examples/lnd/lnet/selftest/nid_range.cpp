// SPDX-License-Identifier: BSD-2-Clause
#include "nid_range.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace lnet::selftest {

namespace {

struct run {
  unsigned first, last;
};

std::optional<unsigned> whole_number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<run> parse_run(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = whole_number(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : whole_number(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return run{*first, *last};
}

/// "2-5,9"; nothing when it is no list.
std::optional<std::vector<run>> parse_list(std::string_view text) {
  std::vector<run> runs;
  for (;;) {
    const auto comma = text.find(',');
    const auto r = parse_run(text.substr(0, comma));
    if (!r) return std::nullopt;
    runs.push_back(*r);
    if (comma == std::string_view::npos) return runs;
    text.remove_prefix(comma + 1);
  }
}

class expansion {
 public:
  expansion(std::vector<std::string>& out, std::string& why) : out_(out), why_(why) {}

  bool expand(const std::string& before, std::string_view rest) {
    const auto open = rest.find('[');
    if (open == std::string_view::npos) return add(before, rest);
    const auto close = rest.find(']', open);
    const auto runs =
        close == std::string_view::npos ? std::nullopt : parse_list(rest.substr(open + 1, close - open - 1));
    if (!runs) {
      why_ = "a range is written [2-5,9]";
      return false;
    }
    for (const run& r : *runs) {
      for (unsigned n = r.first;; ++n) {
        if (!expand(before + std::string(rest.substr(0, open)) + std::to_string(n), rest.substr(close + 1)))
          return false;
        if (n == r.last) break;
      }
    }
    return true;
  }

 private:
  bool add(const std::string& before, std::string_view rest) {
    if (out_.size() == max_nids_of_a_range) {
      why_ = fmt::format("that is more than {} NIDs", max_nids_of_a_range);
      return false;
    }
    out_.push_back(before + std::string(rest));
    return true;
  }

  std::vector<std::string>& out_;
  std::string& why_;
};

}  // namespace

bool expand_nids(std::string_view text, std::vector<nid>& out, std::string& why) {
  std::vector<std::string> names;
  if (!expansion(names, why).expand("", text)) {
    why = fmt::format("\"{}\": {}", text, why);
    return false;
  }
  std::vector<nid> found;
  for (const std::string& name : names) {
    const auto n = parse_nid(name);
    if (!n || n->is_any()) {
      why = fmt::format("\"{}\" is no NID (address@net)", name);
      return false;
    }
    found.push_back(*n);
  }
  out.insert(out.end(), found.begin(), found.end());
  return true;
}

}  // namespace lnet::selftest
