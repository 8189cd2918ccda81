// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Who listens under which name within this process, and how those who know the name meet them.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kfx/backend/backend.hpp"

namespace kfx::loopback {

/// The two ends of a new connection: the connecting one, the accepting one.
using link_ends = std::array<std::unique_ptr<backend::link>, 2>;
/// Makes them, given the name and both URIs (their queries may hold parameters).
using make_links = std::function<std::variant<link_ends, backend::failure>(
    const std::string& name, const backend::uri& connecting, const backend::uri& listening)>;

/// One per scheme, for the life of the process. Any thread.
class in_process_names {
 public:
  in_process_names() : state_(std::make_shared<state>()) {}

  /// The contract of `backend::connect`.
  void connect(backend::context&, const backend::uri&, backend::on_connected, const make_links&);
  /// The contract of `backend::listen`.
  std::variant<std::unique_ptr<backend::listener>, backend::failure> listen(backend::context&, const backend::uri&,
                                                                            backend::on_accepted);

 private:
  /// `accepted` and `open` belong to the listener's control thread; the rest does not change.
  struct acceptor {
    boost::asio::io_context& io;
    backend::uri at;
    backend::on_accepted accepted;
    bool open = true;
  };
  struct state {
    std::mutex lock;
    std::map<std::string, std::shared_ptr<acceptor>> names;
  };
  class in_process_listener;

  std::variant<backend::channel, backend::failure> meet(const backend::uri&, const make_links&);

  std::shared_ptr<state> state_;
};

/// What stands between scheme and query: the name two nodes of one process meet under.
std::string name_in(const backend::uri&);

}  // namespace kfx::loopback
