// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A byte stream in memory that moves as many bytes a call as its script says.

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>

#include "frames.hpp"
#include "kfx/backend/byte_stream.hpp"

namespace kfx_test {

/// One direction.
struct direction {
  bytes data;
  std::size_t read = 0;
  std::error_code broken{};  ///< what both ends hear when there is nothing left to read
};

class scripted_stream final : public kfx::backend::byte_stream {
 public:
  /// How many of the bytes asked for a call moves.
  using script = std::function<std::size_t(std::size_t asked)>;

  scripted_stream(std::shared_ptr<direction> out, std::shared_ptr<direction> in)
      : out_(std::move(out)), in_(std::move(in)) {}

  moved send(std::span<const ::iovec> pieces) noexcept override {
    ++sends;
    most_pieces = std::max(most_pieces, pieces.size());
    std::size_t asked = 0;
    for (const ::iovec& p : pieces) asked += p.iov_len;
    const std::size_t n = std::min(asked, on_send ? on_send(asked) : asked);
    for (std::size_t left = n; left > 0; pieces = pieces.subspan(1)) {
      const std::size_t k = std::min(left, pieces.front().iov_len);
      const auto* from = static_cast<const std::byte*>(pieces.front().iov_base);
      out_->data.insert(out_->data.end(), from, from + k);
      left -= k;
    }
    return {n, n == 0 ? out_->broken : std::error_code()};
  }

  moved recv(std::span<const ::iovec> pieces) noexcept override {
    ++recvs;
    most_pieces = std::max(most_pieces, pieces.size());
    std::size_t asked = 0;
    for (const ::iovec& p : pieces) asked += p.iov_len;
    last_asked = asked;
    const std::size_t there = in_->data.size() - in_->read;
    const std::size_t n = std::min({asked, there, on_recv ? on_recv(std::min(asked, there)) : there});
    for (std::size_t left = n; left > 0; pieces = pieces.subspan(1)) {
      const std::size_t k = std::min(left, pieces.front().iov_len);
      if (k > 0) std::memcpy(pieces.front().iov_base, in_->data.data() + in_->read, k);
      in_->read += k;
      left -= k;
    }
    if (in_->read == in_->data.size()) {
      in_->data.clear();
      in_->read = 0;
    }
    return {n, there == 0 ? in_->broken : std::error_code()};
  }

  int native_handle() const noexcept override { return 77; }
  void close() noexcept override { closed = true; }
  std::string describe() const override { return "scripted"; }

  script on_send;
  script on_recv;
  unsigned sends = 0;
  unsigned recvs = 0;
  std::size_t most_pieces = 0;
  std::size_t last_asked = 0;
  bool closed = false;

 private:
  std::shared_ptr<direction> out_;
  std::shared_ptr<direction> in_;
};

}  // namespace kfx_test
