// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// This process on the fabric.

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kfx/message.hpp"
#include "kfx/options.hpp"
#include "kfx/peer.hpp"
#include "kfx/region.hpp"

namespace kfx {

/// What happened to a peer.
enum class peer_event {
  up,         ///< a session began, or its connection came back
  down,       ///< the connection is gone; ops wait for it
  restarted,  ///< the peer is a new incarnation; ops towards the old one failed
};

/// A write with `.notify` that took effect: `region` is the one written (null when it was an offer), offset and
/// length what was written of it.
struct notification {
  std::shared_ptr<detail::region_state> region;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t imm = 0;
  bool in(const kfx::region& r) const noexcept { return region && r.state() == region; }
};

namespace detail {
struct node_state;
using message_handler = std::function<void(message&&)>;
using notify_handler = std::function<void(const notification&, const peer&)>;
using peer_handler = std::function<void(const peer&, peer_event)>;
void on_message(node_state&, message_handler);
void on_notify(node_state&, notify_handler);
void on_peer(node_state&, peer_handler);

template <class H>
constexpr bool bound =
    !std::is_same_v<boost::asio::associated_executor_t<H, boost::asio::system_executor>, boost::asio::system_executor>;
}  // namespace detail

/// A node: its addresses, its progress engines, the memory it shares. Any thread. The destructor ends every op of
/// this node with `node_stopped`, waits until handlers that run have returned, and leaves nothing behind; handles
/// that outlive it are harmless. Its peers hear `down`, and their ops wait for its next life, up to their limit.
/// A handler of the node itself cannot destroy it (or assign to it), because that would wait for the handler: the
/// program ends, with a sentence on stderr. Handlers that are bound to an executor of your own can.
///
/// Handlers run on the peer's partition, in order within a lane and concurrently across lanes, unless bound to an
/// executor of your own with `boost::asio::bind_executor`. They may block: other lanes, acks and keepalive go on.
/// They must not throw. Set them before peers are expected; a message that arrives without a handler is `dropped`.
class node {
 public:
  /// Throws kfx::error (a bad option or URI, an address in use, a missing backend), with a sentence that names it.
  explicit node(options o = {});
  node(node&&) noexcept;
  node& operator=(node&&) noexcept;
  ~node();

  /// Listens there too, as with `options::listen`: for a program that first sets the handlers of what may come at once.
  /// Throws kfx::error. Not in a handler of this node.
  void listen(std::string_view uri);

  /// Names a peer. Costs nothing. Throws kfx::error when the URI cannot be read or no such backend is here.
  peer at(std::string_view uri);

  /// Shares memory, which must outlive the region. Throws kfx::error (out_of_resources).
  region share(mutable_buffer memory, access rights);
  /// Read-only memory: shared with access::read.
  region share(const_buffer memory);
  /// Lets peers `open` the region by name, until it is gone. Publishing a name again replaces it. Throws kfx::error: a
  /// name that is empty or longer than `limits::name` (bad_option), a region that is gone or another node's
  /// (stale_region).
  void publish(std::string_view name, const region&);
  void unpublish(std::string_view name);
  /// Throws kfx::error (out_of_resources).
  buffer allocate(std::size_t bytes, const placement& = {});

  /// `h(kfx::message)`.
  template <class H>
  void on_message(H h) {
    if constexpr (detail::bound<H>) {
      detail::on_message(*s_, [h, ex = boost::asio::get_associated_executor(h)](message&& m) mutable {
        boost::asio::post(ex, [h, m = std::move(m)]() mutable { h(std::move(m)); });
      });
    } else {
      detail::on_message(*s_, [h = std::make_shared<H>(std::move(h))](message&& m) { (*h)(std::move(m)); });
    }
  }
  /// `h(const kfx::notification&, const kfx::peer&)`.
  template <class H>
  void on_notify(H h) {
    if constexpr (detail::bound<H>) {
      detail::on_notify(*s_, [h, ex = boost::asio::get_associated_executor(h)](const notification& n, const peer& p) {
        boost::asio::post(ex, [h, n, p]() mutable { h(n, p); });
      });
    } else {
      detail::on_notify(*s_,
                        [h = std::make_shared<H>(std::move(h))](const notification& n, const peer& p) { (*h)(n, p); });
    }
  }
  /// `h(const kfx::peer&, kfx::peer_event)`.
  template <class H>
  void on_peer(H h) {
    if constexpr (detail::bound<H>) {
      detail::on_peer(*s_, [h, ex = boost::asio::get_associated_executor(h)](const peer& p, peer_event e) {
        boost::asio::post(ex, [h, p, e]() mutable { h(p, e); });
      });
    } else {
      detail::on_peer(*s_, [h = std::make_shared<H>(std::move(h))](const peer& p, peer_event e) { (*h)(p, e); });
    }
  }

  /// progress::caller: moves frames and runs handlers that are ready, without blocking. How many things happened.
  /// In threads mode it helps, and is not needed.
  std::size_t poll();
  /// progress::caller: polls, spins and sleeps until `stop()`.
  void run();
  /// The same for so long at most.
  void run_for(clock::duration);
  /// Lets every `run()` under way return; when there is none, the next one returns at once. Any thread, and handlers.
  void stop();
  /// Becomes readable when `poll()` has something to do (progress::caller). Closed with the node. Throws kfx::error
  /// (out_of_resources).
  int fd() const;

  /// What peers can pass to `at()`; with the ports really bound.
  std::vector<std::string> addresses() const;
  /// New in each life of a node: 32 hexadecimal digits.
  std::string id() const;
  /// Partitions, CPUs, transports in use: a few lines for people.
  std::string explain() const;

  const std::shared_ptr<detail::node_state>& state() const noexcept { return s_; }

 private:
  std::shared_ptr<detail::node_state> s_;
};

}  // namespace kfx
