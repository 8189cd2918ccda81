// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Reads module parameters from the front. After the first complaint, which is kept, everything is to be given up.

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace lnet {

class text_reader {
 public:
  /// More CPUs, nodes and CPTs than any machine has; it bounds what a short text can ask for.
  static constexpr unsigned most = 65535;

  explicit text_reader(std::string_view text) : text_(text) {}

  /// Of what comes next, spaces skipped.
  std::size_t offset() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    return at_;
  }
  bool over() { return offset() == text_.size(); }
  /// The character that comes next, or 0.
  char next() { return over() ? '\0' : text_[at_]; }
  bool digit() { return next() >= '0' && next() <= '9'; }
  /// One of these characters, if it comes next; else 0.
  char take(std::string_view any) { return !over() && any.find(text_[at_]) != any.npos ? text_[at_++] : '\0'; }
  bool need(char c, std::string_view expected) { return take({&c, 1}) != '\0' || complain(offset(), expected); }
  /// What comes before any of these characters, a space or the end.
  std::string_view word(std::string_view ends) {
    const std::size_t from = offset();
    while (at_ < text_.size() && text_[at_] != ' ' && text_[at_] != '\t' && ends.find(text_[at_]) == ends.npos) ++at_;
    return text_.substr(from, at_ - from);
  }

  bool number(unsigned& n, std::string_view expected) {
    const std::size_t from = offset();
    if (!digit()) return complain(from, expected);
    const auto [behind, error] = std::from_chars(text_.data() + from, text_.data() + text_.size(), n);
    if (error != std::errc() || n > most)
      return complain(from, std::string(expected) + " of " + std::to_string(most) + " at most");
    at_ = static_cast<std::size_t>(behind - text_.data());
    return true;
  }

  /// "0-3,5,8-14/2": sorted, once each.
  bool numbers(std::vector<unsigned>& into) {
    std::vector<bool> there;
    do
      if (!range(there)) return false;
    while (take(",") != '\0');
    into.clear();
    for (unsigned i = 0; i < there.size(); ++i)
      if (there[i]) into.push_back(i);
    return true;
  }
  /// "[0-3,5]".
  bool list(std::vector<unsigned>& into) {
    return need('[', "\"[\" and a list of numbers") && numbers(into) && need(']', "\",\" or \"]\"");
  }

  bool complain(std::size_t at, std::string_view expected) {
    if (!why_.empty()) return false;
    std::string found(text_.substr(std::min(at, text_.size()), 16));
    for (char& c : found)
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    why_ = "at character " + std::to_string(at + 1) + ": expected " + std::string(expected) + ", found " +
           (found.empty() ? "the end" : "\"" + found + "\"");
    return false;
  }
  const std::string& why() const noexcept { return why_; }

 private:
  bool range(std::vector<bool>& there) {
    unsigned first = 0, step = 1;
    if (!number(first, "a number")) return false;
    unsigned last = first;
    if (take("-") != '\0') {
      const std::size_t at = offset();
      if (!number(last, "the last number of the range")) return false;
      if (last < first) return complain(at, "a last number not below the first");
      const bool stepped = take("/") != '\0';
      const std::size_t step_at = offset();
      if (stepped && !number(step, "the step of the range")) return false;
      if (step == 0) return complain(step_at, "a step of 1 at least");
    }
    if (there.size() <= last) there.resize(last + 1);
    for (unsigned i = first; i <= last; i += step) there[i] = true;
    return true;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::string why_;
};

}  // namespace lnet
