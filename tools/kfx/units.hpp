// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Sizes, times and CPUs as people write them.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace tool {

/// 4096 → "4 KiB"; what is no round number of anything stays in bytes.
std::string size_text(std::uint64_t bytes);
/// Nanoseconds with the unit that suits them: "75 ns", "3.98 us", "1.2 s".
std::string time_text(double ns);

/// For options: "8", "4KiB", "1m" to bytes; units are powers of 1024.
CLI::Validator as_size();
/// For options: "2", "200ms", "1.5s", "1min" to seconds.
CLI::Validator as_seconds();

/// For options that are one of some words: the word to its number. (CLI11's own transformers tell the numbers too, and
/// those of 8-bit enumerations as characters.)
template <class Enum>
CLI::Validator one_of(const std::map<std::string, Enum>& words) {
  std::string all;
  for (const auto& [word, value] : words) all += (all.empty() ? "" : "|") + word;
  return CLI::Validator(
      [words, all](std::string& text) {
        const auto found = words.find(text);
        if (found == words.end()) return "\"" + text + "\" is none of " + all;
        text = std::to_string(static_cast<int>(found->second));
        return std::string();
      },
      all, "one_of");
}

/// Ties this thread, and those it starts, to one CPU. Throws std::runtime_error with a sentence.
void pin(int cpu);

}  // namespace tool
