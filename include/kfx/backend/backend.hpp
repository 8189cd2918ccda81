// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A backend: makes links to peers named by URIs of its scheme. Found by name in a registry; the ones built in
/// register themselves from one generated list, others are loaded from shared objects at run time.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kfx/backend/byte_stream.hpp"
#include "kfx/backend/link.hpp"
#include "kfx/backend/ring_pair.hpp"
#include "kfx/error.hpp"
#include "kfx/options.hpp"

namespace kfx::backend {

/// A connection, as the transport makes it.
using channel = std::variant<std::unique_ptr<link>, std::unique_ptr<byte_stream>, std::unique_ptr<ring_pair>>;

/// `scheme://host:port/path?key=value`, percent-decoded, IPv6 hosts without their brackets.
struct uri {
  std::string scheme;
  std::string host;
  std::string port;  ///< "" when absent
  std::string path;  ///< without the leading '/'
  std::map<std::string, std::string> query;

  static result<uri> parse(std::string_view text, std::string* why = nullptr);
  std::string to_string() const;
};

/// Why something did not work, with the sentence for people.
struct failure {
  std::error_code code;
  std::string why;
  bool lasting = false;  ///< connecting: it will hardly be otherwise soon, as with a name that nobody knows
};

/// The node a backend works for. `io` runs on the node's control thread; a backend's own work (connecting,
/// accepting, names) happens there and nowhere else.
struct context {
  boost::asio::io_context& io;
  std::string node_id;     ///< 32 hexadecimal digits, new in each incarnation
  std::string host_id;     ///< the same for all processes of one running host
  std::string process_id;  ///< the same for all nodes of one process
  const kfx::options& options;
};

using on_connected = std::function<void(std::variant<channel, failure>)>;
using on_accepted = std::function<void(channel)>;

/// Stops listening when destroyed; afterwards no callback comes. Used on the control thread.
class listener {
 public:
  virtual ~listener() = default;
  /// What a peer would pass to `connect`; with the port that was really bound.
  virtual std::string address() const = 0;
};

class backend {
 public:
  virtual ~backend() = default;
  virtual std::string_view name() const noexcept = 0;  ///< also the URI scheme
  /// Higher is better when several reach the peer (tcp 10, shm 30, loop 50).
  virtual int rank() const noexcept = 0;
  /// Whether it works on this host; the sentence says why not and what would mend it.
  virtual bool available(std::string* why) const = 0;

  /// Starts connecting. Exactly one call of `on_connected` follows, on the control thread, not before this returns;
  /// the caller gives up by ignoring it (the backend bounds an attempt to about 10 s itself). Failures: unreachable,
  /// refused, bad_uri, …; not `not_found`, which is what a peer says of a region's name.
  virtual void connect(context&, const uri&, on_connected) = 0;
  /// Errors: address_in_use, bad_option (no address of this host), bad_uri, …, with a sentence that names the address.
  virtual std::variant<std::unique_ptr<listener>, failure> listen(context&, const uri&, on_accepted) = 0;

  /// The device that would carry a connection there, as `link::device`; only as far as that is known without asking
  /// anybody. Any thread.
  virtual std::string device(const uri&) { return {}; }

  /// Where every node that listens at all also listens through this backend, so that `reach` finds it; "" when it
  /// does not. It need not work: a listener that cannot be had is done without.
  virtual std::string meeting_place(context&) { return {}; }
  /// What this node tells peers that reached it otherwise, so that they can reach it through this backend; ""
  /// when they cannot. Called once listeners are up.
  virtual std::string offer(context&) = 0;
  /// A URI to connect to, given a peer's offer and who it is, or why this node cannot take it.
  struct peer_identity {
    std::string node_id, host_id, process_id;
  };
  virtual std::variant<uri, failure> reach(context&, const peer_identity&, std::string_view offer) = 0;
};

/// Adds a backend for the rest of the process's life. Later ones of the same name are refused (false).
bool register_backend(std::unique_ptr<backend>);
/// By scheme, or null.
backend* find_backend(std::string_view name);
std::vector<backend*> all_backends();
/// Loads `kfx_backend_create` from a shared object: `extern "C" kfx::backend::backend* kfx_backend_create(unsigned
/// abi)`, which answers null when `abi` is not the one it was built against.
inline constexpr unsigned abi_version = 1;
result<std::string> load_backend(const std::string& path, std::string* why);

}  // namespace kfx::backend
