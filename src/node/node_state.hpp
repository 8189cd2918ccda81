// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a kfx::node is inside: its partitions, the control thread, the connection manager, and what is shared.

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cm/manager.hpp"
#include "engine/host.hpp"
#include "engine/partition.hpp"
#include "kfx/backend/backend.hpp"
#include "kfx/node.hpp"
#include "memory/region_state.hpp"
#include "node/names.hpp"
#include "node/peer_events.hpp"
#include "node/ticker.hpp"
#include "numa/plan.hpp"

namespace kfx::detail {

/// Any thread, unless said otherwise.
struct node_state final : engine::host, std::enable_shared_from_this<node_state> {
  /// Throws kfx::error.
  explicit node_state(kfx::options o);
  ~node_state() override;

  /// Listens and starts the threads. Once. Throws kfx::error.
  void open();
  /// Ends everything; when it returns no thread of this node runs. What is left serves handles that live longer.
  void shut_down();
  /// This thread runs a handler of this node, which `shut_down` would wait for.
  bool in_own_handler() const noexcept;

  // --- for kfx::node
  std::shared_ptr<engine::session> at(std::string_view uri) { return manager_->at(uri); }
  std::shared_ptr<region_state> share(mutable_buffer memory, access rights);
  void revoke(region_state& r);
  void publish(std::string_view name, const remote_region& token);
  void unpublish(std::string_view name) { names_.erase(name); }
  void on_message(message_handler h);
  void on_notify(notify_handler h);
  void on_peer(peer_handler h);
  std::size_t poll();
  void run(clock::time_point until);
  void stop();
  int fd();
  /// Throws kfx::error.
  void listen(const std::string& uri);
  std::vector<std::string> addresses() const { return manager_->addresses(); }
  const std::string& id() const noexcept { return ctx_.node_id; }
  std::string explain() const;
  buffer allocate(std::size_t bytes, const placement& where) const;

  // --- engine::host
  const kfx::options& settings() const noexcept override { return options_; }
  std::uint64_t incarnation() const noexcept override { return incarnation_; }
  const engine::handlers* current_handlers() const noexcept override;
  remote_region published(std::string_view name) const override { return names_.find(name); }
  void want_link(engine::session& s) override;
  void lost_link(engine::session& s) override;
  void watch_handlers() override { ticker_->watch_handlers(); }
  void want_ticks() override { ticker_->want_ticks(); }

 private:
  /// Lets partitions that outlive the node, because peer handles do, keep their host.
  struct keeper {
    std::shared_ptr<node_state> node;
    std::atomic<std::size_t> partitions{0};
  };

  void make_partitions();
  std::shared_ptr<engine::partition> home_of(std::string_view peer, const std::function<std::string()>& device) const;
  void make_manager();
  void start_control();
  void stop_control();
  std::chrono::nanoseconds tick();
  bool watch();
  template <class F>
  void change_handlers(F f);
  void rest();
  void sleep(clock::time_point until);
  void deliver(const peer& who, peer_event what);

  const kfx::options options_;
  const std::uint64_t incarnation_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  backend::context ctx_;
  std::shared_ptr<keeper> keeper_ = std::make_shared<keeper>();
  numa::plan plan_;
  std::vector<std::shared_ptr<engine::partition>> partitions_;
  std::unique_ptr<cm::manager> manager_;
  std::unique_ptr<node_detail::ticker> ticker_;
  std::unique_ptr<node_detail::peer_events> events_;
  node_detail::names names_;
  std::thread control_;
  std::atomic<bool> down_{false};

  /// Read by engine threads at every message: a plain pointer to what never changes. Former ones stay, for whoever
  /// is about to call them.
  std::atomic<const engine::handlers*> handlers_{nullptr};
  std::mutex handlers_mutex_;
  std::vector<std::unique_ptr<const engine::handlers>> all_handlers_;

  // progress::caller
  std::atomic<bool> stop_{false};
  std::atomic<int> runners_{0};
  std::atomic<bool> exposed_{false};  ///< the program sleeps on fd_
  std::mutex rest_mutex_;             ///< no frames move between the two halves of getting ready for that
  std::mutex fd_mutex_;
  int fd_ = -1;
};

}  // namespace kfx::detail
