// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A link before it carries a session: one handshake frame at a time, on the control thread.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "cm/handshake.hpp"
#include "kfx/backend/backend.hpp"

namespace kfx::cm {

namespace asio = boost::asio;

/// What was said, or why nothing was.
using heard = std::variant<greeting, backend::failure>;

/// Owns the link and closes it unless it is taken out.
class raw_link {
 public:
  /// A byte stream is put under the shared framer.
  raw_link(asio::io_context& io, backend::channel c);
  ~raw_link();
  raw_link(const raw_link&) = delete;
  raw_link& operator=(const raw_link&) = delete;

  /// Hands the frame to the link and sees it leave.
  asio::awaitable<std::error_code> send(const greeting& g, clock::time_point until);
  /// The next handshake frame. Failures: timed_out, version_mismatch, protocol_error, what ended the link. Frames
  /// behind it stay in the link.
  asio::awaitable<heard> receive(clock::time_point until);
  /// Waits until the other side has closed (it has read what was said last), at most so long.
  asio::awaitable<void> linger(clock::time_point until);
  /// For the session; nothing is left of this one.
  std::unique_ptr<backend::link> release();
  /// What a session is called that nobody named, and whose peer names no address: where its link comes from.
  std::string peer_address() const;
  std::string device() const { return link_ ? link_->device() : std::string(); }
  std::string describe() const { return link_ ? link_->describe() : std::string("a closed link"); }

 private:
  asio::awaitable<void> wait(clock::time_point until);
  void watch(int fd);

  asio::io_context& io_;
  std::unique_ptr<backend::link> link_;
  int watched_ = -1;  ///< the link's descriptor that descriptor_ is a duplicate of
  std::shared_ptr<asio::posix::stream_descriptor> descriptor_;
};

}  // namespace kfx::cm
