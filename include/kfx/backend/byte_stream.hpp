// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a transport of plain bytes supplies; the shared framer (src/wire/stream_link.hpp) makes it a link.

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string>
#include <system_error>

namespace kfx::backend {

/// An ordered, lossless stream of bytes in both directions. One thread at a time; nothing blocks or throws.
class byte_stream {
 public:
  /// bytes > 0: that many moved. bytes == 0 without error: would block. An error (end of stream is
  /// std::errc::connection_reset): the stream is dead.
  struct moved {
    std::size_t bytes = 0;
    std::error_code error{};
  };

  virtual ~byte_stream() = default;
  /// Gathers from up to 64 pieces.
  virtual moved send(std::span<const ::iovec> pieces) noexcept = 0;
  /// Scatters into up to 64 pieces.
  virtual moved recv(std::span<const ::iovec> pieces) noexcept = 0;
  /// A pollable descriptor: readable when recv may move bytes, writable when send may.
  virtual int native_handle() const noexcept = 0;
  /// Both directions, at once; unsent bytes are dropped. Idempotent.
  virtual void close() noexcept = 0;
  /// As `link::device`.
  virtual std::string device() const { return {}; }
  /// As `link::peer_address`.
  virtual std::string peer_address() const { return {}; }
  virtual std::string describe() const = 0;
};

}  // namespace kfx::backend
