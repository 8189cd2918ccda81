// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What rings and doorbells stand on. Tests put a model in its place that tries every order of events.

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kfx::loopback {

struct native_sync {
  template <class T>
  using atomic = std::atomic<T>;

  /// A descriptor that is readable from `set` until `reset`.
  class event {
   public:
    event() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~event() {
      if (fd_ >= 0) ::close(fd_);
    }
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    int fd() const noexcept { return fd_; }
    void set() noexcept {
      const std::uint64_t one = 1;
      // The counter cannot overflow in practice, and then the descriptor is readable already.
      [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
    }
    void reset() noexcept {
      std::uint64_t count;
      [[maybe_unused]] const auto got = ::read(fd_, &count, sizeof count);
    }

   private:
    int fd_;
  };

  /// Plain memory that the other side reads or wrote.
  static void wrote(const void*, std::size_t) noexcept {}
  static void reads(const void*, std::size_t) noexcept {}
};

}  // namespace kfx::loopback
