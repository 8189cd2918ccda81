// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The serving side of `kfx perf`: does what its client orders, one client at a time.

#include <atomic>
#include <kfx/kfx.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "perf_memory.hpp"
#include "perf_protocol.hpp"

namespace tool::perf {

struct server_options {
  std::string uri;
  kfx::progress progress = kfx::progress::caller;
  bool persist = false;                     ///< goes on after its client is done
  const std::atomic<bool>* stop = nullptr;  ///< looked at now and then, if given
};

class server {
 public:
  /// Throws kfx::error when it cannot listen there.
  explicit server(const server_options&);
  std::string address() const;
  /// Until the client is done; with `persist` until `stop`. Throws std::runtime_error when the client went away first.
  void serve();

 private:
  void on_message(kfx::message&&);
  void on_order(kfx::message&&);
  answer hello(const order&, const kfx::peer&);
  void begin(const order&);
  void pong(kfx::message&&);
  void on_notify(const kfx::notification&);
  void on_peer(const kfx::peer&, kfx::peer_event);
  void look_at_word();
  void stop_test();
  void forget_client();
  bool stopped() const { return options_.stop && options_.stop->load(std::memory_order_relaxed); }
  void work();
  void rest();
  void linger();
  kfx::mutable_buffer next_place();

  server_options options_;
  std::mutex watch_mutex_;             ///< progress::threads: held by whoever looks at the word
  std::mutex mutex_;                   ///< who the client is; not for what a test does
  std::atomic<bool> running_{false};   ///< a test is under way: no sleeping
  std::atomic<bool> watching_{false};  ///< and it is one for who looks at the word
  std::atomic<bool> bye_{false}, gone_{false}, lost_{false};
  order now_;  ///< the test under way
  std::uint64_t count_ = 0;
  std::uint64_t place_ = 0;
  std::uint64_t word_ = 0;         ///< last seen
  std::vector<std::byte> header_;  ///< of the pongs
  kfx::remote_region client_memory_;
  receiver receiver_;
  kfx::node node_;
  std::unique_ptr<shared_memory> memory_;
  kfx::peer client_;
};

}  // namespace tool::perf
