// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A descriptor that closes itself, and how a failed system call is told.

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace store {

class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& o) noexcept {
    if (this != &o) {
      reset();
      fd_ = std::exchange(o.fd_, -1);
    }
    return *this;
  }
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

/// A directory several transfers work in.
using shared_dir = std::shared_ptr<const unique_fd>;

[[noreturn]] inline void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}
/// The result of a system call, or an exception that carries its errno.
template <class T>
T check(T result, const std::string& what) {
  if (result < 0) fail(errno, what);
  return result;
}
/// For hot paths: nothing is built unless it failed.
template <class T>
T check(T result, const char* what) {
  if (result < 0) fail(errno, what);
  return result;
}

}  // namespace store
