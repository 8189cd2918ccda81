// SPDX-License-Identifier: BSD-2-Clause
#include "script.hpp"

#include <fmt/format.h>

namespace lnet::selftest {

namespace {

class splitter {
 public:
  splitter(std::string_view text, std::vector<statement>& out) : text_(text), out_(out) {}

  bool run(std::string& why) {
    while (at_ < text_.size()) {
      if (!step(why)) return false;
    }
    end_statement();
    return true;
  }

 private:
  bool step(std::string& why) {
    const char c = text_[at_++];
    switch (c) {
      case '\n':
        end_statement();
        ++line_;
        return true;
      case ';':
        end_statement();
        return true;
      case ' ':
      case '\t':
      case '\r':
        end_word();
        return true;
      case '#':
        if (in_word_) break;
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
        return true;
      case '\'':
      case '"':
        return quoted(c, why);
      case '\\':
        return escaped(why);
      default:
        break;
    }
    add(c);
    return true;
  }

  bool quoted(char quote, std::string& why) {
    in_word_ = true;
    const unsigned begun = line_;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\n') ++line_;
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      word_ += text_[at_++];
    }
    if (at_ == text_.size()) {
      why = fmt::format("line {}: a quote is not closed", begun);
      return false;
    }
    ++at_;
    return true;
  }

  bool escaped(std::string& why) {
    if (at_ == text_.size()) {
      why = fmt::format("line {}: nothing behind the backslash", line_);
      return false;
    }
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;  // the line goes on
      end_word();
    } else {
      add(c);
    }
    return true;
  }

  void add(char c) {
    in_word_ = true;
    word_ += c;
  }
  void end_word() {
    if (!in_word_) return;
    if (current_.words.empty()) current_.line = line_;
    current_.words.push_back(std::move(word_));
    word_.clear();
    in_word_ = false;
  }
  void end_statement() {
    end_word();
    if (!current_.words.empty()) out_.push_back(std::move(current_));
    current_ = {};
  }

  std::string_view text_;
  std::vector<statement>& out_;
  std::size_t at_ = 0;
  unsigned line_ = 1;
  std::string word_;
  bool in_word_ = false;
  statement current_;
};

}  // namespace

bool parse_script(std::string_view text, std::vector<statement>& out, std::string& why) {
  return splitter(text, out).run(why);
}

}  // namespace lnet::selftest
