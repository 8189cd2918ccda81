// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Sentences for people: what a session is doing, and why an op failed.

#include "engine/partition.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {

const char* what_is(verb v) noexcept {
  switch (v) {
    case verb::write:
      return "write to ";
    case verb::read:
      return "read from ";
    case verb::send:
      return "send to ";
    case verb::commit:
      return "commit at ";
    case verb::open:
      return "open at ";
    case verb::offer:
      return "offer to ";
    case verb::reject:
      return "reject towards ";
    case verb::reply:
      return "reply to ";
    default:
      return "op with ";
  }
}

}  // namespace

std::string session::explain() const {
  std::string text = uri + ": ";
  if (stopped.load()) return text + "this node has stopped";
  if (link_) {
    text += "connected over " + link_->describe();
  } else if (id != 0) {
    text += dialable ? "connection lost" : "connection lost; it has no address, waiting for it to come back";
  } else {
    text += "not connected yet";
  }
  if (!chosen.empty()) text += " (" + chosen + ")";
  if (!link_ && !last_failure.empty()) text += "; last attempt: " + last_failure;
  return text;
}

std::string partition::explain_failure(const op_state& o, std::error_code e) {
  // The session may be gone with its node; the op itself knows the rest.
  std::string where = "a peer";
  std::string cause;
  with_living(o.home, [&](partition& home) {
    home.with_baton([&] {
      for (const auto& s : home.sessions_) {
        if (s.get() != o.owner) continue;
        where = s->uri;
        if (s->link())
          cause = " over " + s->link()->describe();
        else if (!s->last_failure.empty())
          cause = " (" + s->last_failure + ")";
      }
    });
  });
  return std::string(what_is(o.kind)) + where + cause + " failed: " + e.message();
}

}  // namespace kfx::engine
