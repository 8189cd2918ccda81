// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The one framer: makes any byte stream a link.

#include <memory>

#include "kfx/backend/byte_stream.hpp"
#include "kfx/backend/link.hpp"
#include "wire/stream_rx.hpp"
#include "wire/stream_tx.hpp"

namespace kfx::wire {

/// A link over a byte stream. Idle it holds a few KiB at most: staging and receive buffers are borrowed while there
/// is something in them. An unused window of `reserve` ends with `arm`.
class stream_link final : public backend::link {
 public:
  /// The stream is connected and belongs to the link from now on.
  explicit stream_link(std::unique_ptr<backend::byte_stream> stream) noexcept : stream_(std::move(stream)) {}
  ~stream_link() override { close(); }

  const backend::link_caps& caps() const noexcept override;
  std::span<std::byte> reserve(std::size_t at_least) override { return tx_.reserve(at_least); }
  void commit(std::size_t bytes) override { tx_.commit(bytes); }
  bool post(const_buffer head, std::span<const const_buffer> body, backend::cookie c) override {
    return tx_.post(head, body, c);
  }
  std::error_code flush(backend::frame_sink& sink) override { return tx_.flush(*stream_, sink); }
  polled poll(backend::frame_sink& sink, unsigned budget) override {
    polled out = rx_.poll(*stream_, sink, budget);
    out.unsent = tx_.pending();
    return out;
  }
  bool quiesce(backend::cookie) override;
  void divert() override { rx_.divert(); }
  backend::wait_handle arm() override;
  void close() override;
  std::string device() const override { return stream_->device(); }
  std::string peer_address() const override { return stream_->peer_address(); }
  std::string describe() const override { return stream_->describe(); }

 private:
  std::unique_ptr<backend::byte_stream> stream_;
  stream_tx tx_;
  stream_rx rx_;
};

}  // namespace kfx::wire
