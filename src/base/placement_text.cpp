// SPDX-License-Identifier: BSD-2-Clause
#include "base/placement_text.hpp"

#include <algorithm>
#include <charconv>

namespace kfx::base {
namespace {

constexpr int most = 65535;  // CPUs, cores or nodes of any machine

/// Reads from the front; after the first complaint everything fails.
class reader {
 public:
  explicit reader(std::string_view text) : text_(text) {}

  void spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool over() {
    spaces();
    return at_ == text_.size();
  }
  /// One of these characters, if it stands here.
  char take(std::string_view any) {
    spaces();
    return at_ < text_.size() && any.find(text_[at_]) != any.npos ? text_[at_++] : '\0';
  }
  bool digit() {
    spaces();
    return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9';
  }
  bool number(int& n, std::string_view expected) {
    if (!digit()) return complain(expected);
    const char* const end = text_.data() + text_.size();
    const auto [behind, error] = std::from_chars(text_.data() + at_, end, n);
    if (error != std::errc() || n > most) return complain(std::string(expected) + " of 65535 at most");
    at_ = static_cast<std::size_t>(behind - text_.data());
    return true;
  }
  bool need(char c, std::string_view expected) { return take({&c, 1}) || complain(expected); }

  bool complain(std::string_view expected) { return complain_at(at_, expected); }
  bool complain_at(std::size_t offset, std::string_view expected) {
    if (why_.empty())
      why_ = "at offset " + std::to_string(offset) + ": expected " + std::string(expected) + ", found " +
             (offset < text_.size() ? "\"" + std::string(text_.substr(offset, 16)) + "\"" : "its end");
    return false;
  }
  std::size_t offset() {
    spaces();
    return at_;
  }
  const std::string& why() const { return why_; }

 private:
  const std::string_view text_;
  std::size_t at_ = 0;
  std::string why_;
};

/// Which list each number is in; that it is in one at most bounds the work.
using owners = std::vector<int>;
constexpr int nobody = -1;

bool read_range(reader& r, std::vector<int>& into, owners& taken, int owner) {
  const std::size_t at = r.offset();
  int first = 0, step = 1;
  if (!r.number(first, "a number")) return false;
  int last = first;
  if (r.take("-")) {
    const std::size_t last_at = r.offset();
    if (!r.number(last, "the last number of the range")) return false;
    if (last < first) return r.complain_at(last_at, "a last number not below the first");
    if (r.take("/")) {
      const std::size_t step_at = r.offset();
      if (!r.number(step, "the step of the range")) return false;
      if (step == 0) return r.complain_at(step_at, "a step of 1 at least");
    }
  }
  for (int i = first; i <= last; i += step) {
    int& who = taken[static_cast<std::size_t>(i)];
    if (who == owner) return r.complain_at(at, "a number that the list does not have yet");
    if (who != nobody)
      return r.complain_at(at, "numbers that no other partition has (" + std::to_string(i) + " is in partition " +
                                   std::to_string(who) + ")");
    who = owner;
    into.push_back(i);
  }
  return true;
}

/// "[0-3,7]".
bool read_list(reader& r, std::vector<int>& into, owners& taken, int owner) {
  if (!r.need('[', "\"[\" and a list of numbers")) return false;
  do
    if (!read_range(r, into, taken, owner)) return false;
  while (r.take(","));
  std::sort(into.begin(), into.end());
  return r.need(']', "\",\" or \"]\"");
}

/// "3[0-3]": not one that was there.
bool read_part(reader& r, std::vector<std::vector<int>>& parts, owners& taken) {
  const std::size_t at = r.offset();
  int number = 0;
  if (!r.number(number, "a partition's number")) return false;
  const auto index = static_cast<std::size_t>(number);
  if (index >= parts.size()) parts.resize(index + 1);
  if (!parts[index].empty()) return r.complain_at(at, "the number of a partition that was not there before");
  return read_list(r, parts[index], taken, number);
}

/// "C[…]", "X[…]", each once.
bool read_left_out(reader& r, cpu_pattern& p) {
  for (;;) {
    const std::size_t at = r.offset();
    const char c = r.take("CcXx");
    if (c == 0) return true;
    std::vector<int>& list = c == 'C' || c == 'c' ? p.without_cores : p.without_cpus;
    if (!list.empty()) return r.complain_at(at, "C[...] and X[...] once each");
    owners taken(most + 1, nobody);
    if (!read_list(r, list, taken, 0)) return false;
  }
}

bool read_pattern(reader& r, cpu_pattern& p) {
  p.nodes = r.take("Nn") != '\0';
  owners taken;
  if (r.digit()) taken.assign(most + 1, nobody);
  while (r.digit())
    if (!read_part(r, p.parts, taken)) return false;
  for (std::size_t i = 0; i < p.parts.size(); ++i)
    if (p.parts[i].empty()) return r.complain("partition " + std::to_string(i) + " as well (they count from 0)");
  if (!read_left_out(r, p)) return false;
  // A partition for each NUMA node, whether or not it says so.
  if (p.parts.empty()) p.nodes = true;
  return r.over() || r.complain("\"N\", a partition like 0[0-3], C[...] or X[...], in this order");
}

std::string in_brackets(const std::vector<int>& list) {
  std::string text;
  for (std::size_t i = 0; i < list.size();) {
    std::size_t last = i;
    while (last + 1 < list.size() && list[last + 1] == list[last] + 1) ++last;
    text += (i == 0 ? "[" : ",") + std::to_string(list[i]);
    if (last != i) text += "-" + std::to_string(list[last]);
    i = last + 1;
  }
  return text + "]";
}

}  // namespace

result<cpu_pattern> cpu_pattern::parse(std::string_view text, std::string* why) {
  reader r(text);
  cpu_pattern p;
  if (read_pattern(r, p)) return p;
  if (why) *why = r.why();
  return make_error_code(errc::bad_option);
}

std::string cpu_pattern::to_string() const {
  std::string text = nodes ? "N" : "";
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += (text.empty() ? "" : " ") + std::to_string(i) + in_brackets(parts[i]);
  if (!without_cores.empty()) text += " C" + in_brackets(without_cores);
  if (!without_cpus.empty()) text += " X" + in_brackets(without_cpus);
  return text;
}

result<placement_policy> placement_policy::parse(std::string_view text, std::string* why) {
  using kind = placement_policy::kind;
  if (text.empty() || text == "automatic") return placement_policy{};
  if (text == "off") return placement_policy{kind::off};
  constexpr std::string_view node = "node:", device = "device:";
  if (text.starts_with(device) && text.size() > device.size())
    return placement_policy{kind::device, -1, std::string(text.substr(device.size()))};
  if (text.starts_with(node)) {
    int n = -1;
    const char* const end = text.data() + text.size();
    const auto [behind, error] = std::from_chars(text.data() + node.size(), end, n);
    if (error == std::errc() && behind == end && n >= 0 && n <= most) return placement_policy{kind::node, n};
  }
  if (why) *why = "it takes automatic, off, node:N (a NUMA node's number) or device:NAME (device:eth0)";
  return make_error_code(errc::bad_option);
}

}  // namespace kfx::base
