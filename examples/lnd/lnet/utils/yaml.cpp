// SPDX-License-Identifier: BSD-2-Clause
#include "yaml.hpp"

#include <algorithm>

namespace lnet {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }

/// A name, or a NID: neither a number nor one of YAML's words for yes, no and nothing.
bool plain(std::string_view text) {
  if (text.empty() || !(letter(text[0]) || digit(text[0]))) return false;
  if (!std::all_of(text.begin(), text.end(), [](char c) {
        return letter(c) || digit(c) || std::string_view("_.@/-").find(c) != std::string_view::npos;
      }))
    return false;
  if (text.find('@') != text.npos) return true;
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  constexpr std::string_view words[] = {"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"};
  return letter(text[0]) && std::find(std::begin(words), std::end(words), lower) == std::end(words);
}

}  // namespace

yaml& yaml::add(std::string_view key) {
  yaml& part = parts_.emplace_back();
  part.key_ = key;
  return part;
}

std::string yaml::quoted(std::string_view text) {
  if (plain(text)) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (byte < 0x20 || byte > 0x7e)
      ((out += "\\x") += hex_digits[byte >> 4]) += hex_digits[byte & 15];
    else
      out += c;
  }
  return out + "\"";
}

void yaml::write(std::string& out, std::size_t column, bool first_here) const {
  for (const yaml& part : parts_) {
    if (!first_here) out.append(column, ' ');
    first_here = false;
    if (part.key_.empty()) {
      out += "- ";
      part.write(out, column + 2, true);
      continue;
    }
    out += part.key_ + ":";
    if (part.parts_.empty()) {
      // A list or map that stayed empty is null to whoever reads it: none.
      out += (part.text_.empty() ? "" : " " + part.text_) + "\n";
      continue;
    }
    out += "\n";
    part.write(out, column + (part.is_list() && column != 0 ? 2 : 4), false);
  }
  if (parts_.empty()) out += text_ + "\n";
}

std::string yaml::text() const {
  std::string out;
  if (!parts_.empty()) write(out, 0, false);
  return out;
}

}  // namespace lnet
