// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Serves one directory. Every request is a coroutine on a pool of disk threads, so that no disk ever holds up the
/// fabric; memory and descriptors are bounded by the pools below, and a client that stalls holds up only its share.

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <kfx/kfx.hpp>

#include "gate.hpp"
#include "protocol.hpp"
#include "unique_fd.hpp"
#include "uploads.hpp"

namespace store {

struct server_options {
  std::string directory;
  std::vector<std::string> listen;
  unsigned threads = 4;
  std::size_t buffers = 64;  ///< of 1 MiB, for all clients
  std::size_t buffers_a_client = 24;
  std::size_t uploads = 256;
  std::chrono::seconds grace{15};  ///< an upload outlives its client's connection for so long
};

/// Throws kfx::error or std::system_error when it cannot start.
class server {
 public:
  explicit server(const server_options&);
  /// Answers no more, removes unfinished uploads.
  ~server();
  std::vector<std::string> addresses() const { return node_->addresses(); }
  /// Part files of an earlier server that were removed.
  std::size_t swept() const noexcept { return swept_; }

 private:
  using task = asio::awaitable<void>;

  task serve(kfx::message);
  task dispatch(kfx::message&, const request&, std::string path);

  // server_get.cpp
  void stat(kfx::message&, const std::string& path);
  void extents(kfx::message&, const request&, const std::string& path);
  task list(kfx::message&, const request&, std::string path);
  task read(kfx::message&, const request&, std::string path);

  // server_put.cpp
  task batch(kfx::message&, const request&, std::string path);
  void begin(kfx::message&, const request&, const std::string& path);
  task chunk(kfx::message&, const request&);
  void finish(kfx::message&, const request&);
  void remove(kfx::message&, const request&, const std::string& path);

  /// The client's share of the buffers.
  std::shared_ptr<gate> share_of(const kfx::peer&);
  task housekeeping();

  const server_options options_;
  unique_fd root_;
  std::size_t swept_ = 0;
  uploads uploads_;
  std::mutex clients_mutex_;
  std::vector<std::pair<kfx::peer, std::shared_ptr<gate>>> clients_;
  std::optional<kfx::node> node_;
  std::optional<buffer_pool> buffers_;
  asio::thread_pool disk_;  ///< after what its coroutines use
  asio::steady_timer clock_;
};

}  // namespace store
