// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A client's connection to a store, the pool its coroutines and disk work run on, and how requests are asked.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <mutex>
#include <optional>
#include <string>

#include <kfx/kfx.hpp>

#include "errors.hpp"
#include "gate.hpp"
#include "protocol.hpp"
#include "waiting.hpp"

namespace store {

/// A reply, and how many bytes came behind its head.
struct answer : reply {
  std::size_t more = 0;
};

struct session_options {
  unsigned threads = 1;
  unsigned timeout = 0;     ///< seconds without a sign of the server; 0: as the URI says
  waiting::tell note = {};  ///< gets a line when the server is waited for; default: stderr
};

class session {
 public:
  /// Nothing is sent yet. Throws kfx::error.
  session(const std::string& uri, session_options);
  session(const std::string& uri, unsigned threads) : session(uri, session_options{.threads = threads}) {}
  ~session();

  kfx::node& node() noexcept { return *node_; }
  const kfx::peer& peer() const noexcept { return peer_; }
  const std::string& uri() const noexcept { return uri_; }
  asio::thread_pool& pool() noexcept { return pool_; }

  /// Sends and waits for the reply, which lands in `space`: the head first. Throws remote_error with what the
  /// server, or the fabric, said; and at once when the server was waited for in vain before. `space` and `payload` stay
  /// valid meanwhile.
  asio::awaitable<answer> ask(request head, std::string path, kfx::mutable_buffer space,
                              kfx::const_buffer payload = {});
  /// For a reply without anything behind it.
  asio::awaitable<answer> ask(request head, std::string path);
  /// The same outside coroutines.
  answer ask_now(request head, std::string path, kfx::mutable_buffer space);

  /// Lets go of the fabric; what is under way ends with an error. Buffers must be gone before or after, not between.
  void close();

 private:
  remote_error failure(const kfx::op<kfx::done>&, std::error_code);
  std::optional<remote_error> lost();

  std::string uri_;
  asio::thread_pool pool_;
  std::optional<kfx::node> node_;
  kfx::peer peer_;
  std::optional<waiting> waiting_;
  std::mutex mutex_;
  std::optional<remote_error> lost_;  ///< the server, and how
};

/// Whether going on with other files makes no sense: the server is gone, or here is no room.
bool is_fatal(std::error_code) noexcept;

}  // namespace store
