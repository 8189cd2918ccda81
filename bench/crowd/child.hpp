// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Processes that do what they are told, and the lines to them.

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

namespace bench::crowd {

/// One end of a connection of two processes that carries lines of text.
class line {
 public:
  explicit line(int fd) noexcept : fd_(fd) {}
  line(const line&) = delete;
  ~line();
  /// Throws std::runtime_error.
  void say(const std::string& text);
  /// What the other side said; nothing: it is gone. Throws std::runtime_error when it says nothing for so long (< 0:
  /// waits for ever).
  std::optional<std::string> hear(double seconds = -1);
  /// The other side said something, or is gone.
  bool ready(double seconds = 0) const noexcept;
  /// Ends the connection for both.
  void hang_up() noexcept;
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Answers commands until the other side hangs up. An answer begins with '+', or with '-' when `act` threw.
void obey(line& l, const std::function<std::string(const std::string&)>& act);
/// One command, and its answer.
void answer(line& l, const std::string& command, const std::function<std::string(const std::string&)>& act);

/// A process of its own that ends with its owner. To be made while this process has one thread.
class child {
 public:
  /// `name`: for errors.
  child(std::string name, const std::function<void(line&)>& role);
  child(const child&) = delete;
  /// Hangs up and waits; kills it when it does not end by itself.
  ~child();

  void tell(const std::string& command) { line_->say(command); }
  /// To what it was told. Throws std::runtime_error: what went wrong there.
  std::string answer(double seconds = 120);
  std::string ask(const std::string& command, double seconds = 120) {
    tell(command);
    return answer(seconds);
  }
  pid_t pid() const noexcept { return pid_; }

 private:
  const std::string name_;
  pid_t pid_ = -1;
  std::optional<line> line_;
};

}  // namespace bench::crowd
