// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A console's requests: to many nodes at once, and waits for the answers.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "call.hpp"
#include "node.hpp"

namespace lnet::selftest {

class asker {
 public:
  /// The node is the console's own, through which it asks; the asker ends first.
  explicit asker(node&);

  struct to {
    nid whom{};
    std::vector<std::byte> request;  ///< with a head whose rpc is not known yet
  };
  struct outcome {
    nid whom{};
    int status = 0;  ///< 0, what the node said, or why there is no answer
    std::vector<std::byte> body;

    template <class Body>
    std::optional<Body> as() const {
      return status == 0 || status == -EBUSY ? parse_body<Body>(body) : std::nullopt;
    }
  };
  /// Any thread. The answers in the order of the questions.
  std::vector<outcome> ask(const std::vector<to>&, std::chrono::milliseconds patience);

  template <class Body>
  static std::vector<std::byte> request(kind k, const session_id& session, const Body& body) {
    std::vector<std::byte> bytes(large_message);
    bytes.resize(encode(head{.kind = k, .session = session}, body, bytes));
    return bytes;
  }
  /// The same to all.
  template <class Body>
  std::vector<outcome> ask_all(const std::vector<nid>& nodes, kind k, const session_id& session, const Body& body,
                               std::chrono::milliseconds patience) {
    std::vector<to> questions;
    for (const nid& n : nodes) questions.push_back({n, request(k, session, body)});
    return ask(questions, patience);
  }

 private:
  struct round;
  class one;
  struct state;
  node& node_;
  std::shared_ptr<state> state_;
};

}  // namespace lnet::selftest
