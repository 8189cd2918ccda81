// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A connected stream socket.

#include <memory>
#include <string>
#include <utility>

#include "kfx/backend/byte_stream.hpp"

namespace kfx::backend {

/// Gathers and scatters straight from and to user memory, one system call each. Any connected stream socket does.
class tcp_stream final : public byte_stream {
 public:
  /// Owns the descriptor. It may be blocking: every call says itself that it does not wait.
  tcp_stream(int fd, std::string own, std::string peer) noexcept
      : fd_(fd), own_(std::move(own)), peer_(std::move(peer)) {}
  /// A connected TCP socket: small frames leave at once.
  static std::unique_ptr<tcp_stream> adopt(int fd);
  tcp_stream(const tcp_stream&) = delete;
  tcp_stream& operator=(const tcp_stream&) = delete;
  ~tcp_stream() override { close(); }

  moved send(std::span<const ::iovec> pieces) noexcept override;
  moved recv(std::span<const ::iovec> pieces) noexcept override;
  int native_handle() const noexcept override { return fd_; }
  void close() noexcept override;
  std::string device() const override;
  std::string peer_address() const override { return "tcp://" + peer_; }
  std::string describe() const override { return "tcp " + own_ + " -> " + peer_; }

 private:
  int fd_;
  const std::string own_, peer_;  ///< host:port
};

}  // namespace kfx::backend
