// SPDX-License-Identifier: BSD-2-Clause
#include "request.hpp"

#include <algorithm>

namespace lnet {
namespace {

bool printable(char c) { return c > 0x20 && c < 0x7f; }

/// What takes no value.
bool is_switch(std::string_view option) { return option == "--verbose"; }

}  // namespace

bool request::parse(std::string_view line, request& out, std::string& why) {
  if (line.size() > longest) {
    why = "the line is longer than " + std::to_string(longest) + " characters";
    return false;
  }
  const auto strange = std::find_if(line.begin(), line.end(), [](char c) { return c != ' ' && !printable(c); });
  if (strange != line.end()) {
    why = "character " + std::to_string(strange - line.begin() + 1) + " is not printable";
    return false;
  }
  request r;
  std::string* value = nullptr;
  std::string last;
  while (!line.empty()) {
    const std::string word(line.substr(0, line.find(' ')));
    line.remove_prefix(std::min(line.size(), word.size() + 1));
    if (word.empty()) continue;
    last = word;
    if (value != nullptr) {
      *value = word;
      value = nullptr;
    } else if (!word.starts_with("--")) {
      r.words.push_back(word);
    } else {
      const auto [at, is_new] = r.options.try_emplace(word);
      if (!is_new) return why = word + " is there twice", false;
      if (!is_switch(word)) value = &at->second;
    }
  }
  if (value != nullptr) return why = last + " needs a value", false;
  if (r.words.empty()) return why = "there is no command", false;
  out = std::move(r);
  return true;
}

bool request::line(std::string& out, std::string& why) const {
  std::string text;
  const auto append = [&](const std::string& word) {
    if (word.empty() || !std::all_of(word.begin(), word.end(), printable)) return false;
    text += (text.empty() ? "" : " ") + word;
    return true;
  };
  for (const std::string& word : words)
    if (!append(word))
      return why = "\"" + word + "\" is empty, or has spaces or characters that are not printable", false;
  for (const auto& [name, value] : options)
    if (!append(name) || (!is_switch(name) && !append(value)))
      return why = name + " is empty, or has spaces or characters that are not printable", false;
  if (text.size() > longest)
    return why = "the request is longer than " + std::to_string(longest) + " characters", false;
  out = std::move(text);
  return true;
}

}  // namespace lnet
