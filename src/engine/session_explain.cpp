// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Sentences for people: what a session is doing, and why an op failed.

#include <algorithm>

#include "engine/partition.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {

std::string what_is(const op_state& o) {
  switch (o.kind) {
    case verb::write:
      return "write to ";
    case verb::read:
      return "read from ";
    case verb::send:
      return "send to ";
    case verb::commit:
      return "commit at ";
    case verb::open: {
      const std::size_t shown = std::min<std::size_t>(o.header_size, name_kept);
      std::string name(reinterpret_cast<const char*>(o.inline_list), shown);
      return "open of \"" + name + (shown < o.header_size ? "...\" at " : "\" at ");
    }
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

std::string bytes(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }

/// What a verb found wrong with what it was asked; "" when it was something else.
std::string refusal(const op_state& o) {
  switch (o.error_domain) {
    case refused_range:
      return bytes(o.length) + " were asked for, and the token has " + std::to_string(o.moved);
    case refused_header:
      return "this one has " + bytes(o.moved);
    case refused_fragments:
      return "this one has " + std::to_string(o.moved);
    case refused_name:
      return "a name has at most " + bytes(limits::name) + ", and this one " + std::to_string(o.moved);
    case refused_alignment:
      return "these were " + bytes(o.length) + " at offset " + std::to_string(o.offset);
    case refused_write_option:
      return ".durable, .notify and .write8 are for writes";
    case refused_reply_option:
      return ".reply is for sends";
    case refused_last_option:
      return ".last = false is for reads and writes";
    case refused_last_region:
      return ".last = false is for offers, and the token is a region's";
    case refused_no_offer:
      return "only offers can be rejected, and the token is a region's";
    default:
      return {};
  }
}

}  // namespace

std::string session::connection() const {
  std::string text;
  if (stopped.load()) return "this node has stopped";
  if (link_) {
    text = "connected over " + link_->describe();
  } else if (id != 0) {
    text = dialable ? "connection lost" : "connection lost; it has no address, waiting for it to come back";
  } else {
    text = "not connected yet";
  }
  if (!chosen.empty()) text += " (" + chosen + ")";
  if (!link_ && !last_failure.empty()) text += "; last attempt: " + last_failure;
  return text;
}

std::string session::explain() const { return uri + ": " + connection(); }

std::string session::verdict(const op_state& o, std::error_code e) const {
  std::string text = e.message();
  if (e == errc::out_of_bounds && (o.kind == verb::write || o.kind == verb::read))
    text += "; these were " + bytes(o.length) + " at offset " + std::to_string(o.offset) + " of the region";
  if ((e == errc::peer_restarted || e == errc::session_lost) && !lost_link.empty())
    return text + "; its session was over " + lost_link;
  if (link_) return text + "; connected over " + link_->describe();
  if (last_failure.empty()) return text;
  if (e == errc::timed_out)
    return "timed out, with no connection to the peer: " + last_failure +
           " (a later deadline or a higher KFX_LIMIT waits longer)";
  if (e == errc::unreachable) return "the peer could not be reached: " + last_failure;
  return text + "; not connected: " + last_failure;
}

std::string partition::explain_op(const op_state& o) {
  const bool over = o.is_done();
  const std::error_code e = over ? detail::error_of(o) : std::error_code();
  const std::string wrong = over ? refusal(o) : std::string();
  // The session may be gone with its node; the op itself knows the rest.
  std::string where, more;
  with_living(o.home, [&](partition& home) {
    home.with_baton([&] {
      for (const auto& s : home.sessions_) {
        if (s.get() != o.owner) continue;
        where = what_is(o) + s->uri;
        if (over)
          more = s->verdict(o, e);
        else
          more = o.stage == stage_waiting ? "it waits for the op named by .after" : s->connection();
      }
    });
  });
  if (where.empty()) where = what_is(o) + "a peer";
  if (!over) return where + " is under way" + (more.empty() ? more : ": " + more);
  if (!wrong.empty()) return where + " failed: " + e.message() + "; " + wrong;
  return where + " failed: " + (more.empty() ? e.message() : more);
}

}  // namespace kfx::engine
