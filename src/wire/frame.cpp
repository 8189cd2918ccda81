// SPDX-License-Identifier: BSD-2-Clause
#include "wire/frame.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace kfx::wire {

const char* name(type t) noexcept {
  switch (t) {
    case type::hello:
      return "hello";
    case type::welcome:
      return "welcome";
    case type::refuse:
      return "refuse";
    case type::ping:
      return "ping";
    case type::pong:
      return "pong";
    case type::ack:
      return "ack";
    case type::bye:
      return "bye";
    case type::last_control:
      break;
    case type::write:
      return "write";
    case type::read:
      return "read";
    case type::data:
      return "data";
    case type::send:
      return "send";
    case type::result:
      return "result";
    case type::reply:
      return "reply";
    case type::open:
      return "open";
    case type::commit:
      return "commit";
    case type::reject:
      return "reject";
    case type::cancel:
      return "cancel";
    case type::nop:
      return "nop";
    case type::resolve:
      return "resolve";
    case type::offer_done:
      return "offer_done";
    case type::notify:
      return "notify";
  }
  return "unknown";
}

namespace {

/// Types whose `a` is a region's key and whose `b` is an offset.
bool names_memory(type t) noexcept {
  switch (t) {
    case type::write:
    case type::read:
    case type::commit:
    case type::reject:
    case type::resolve:
    case type::offer_done:
    case type::notify:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string to_string(const head& h) {
  static constexpr std::array<const char*, 8> flags = {"last",    "notify",       "offer",   "durable",
                                                       "atomic8", "wants_result", "payload", "wants_reply"};
  char text[192];
  int n = std::snprintf(text, sizeof text, "%s (%u) lane %u op %" PRIu32 " ack %" PRIu32, name(h.type),
                        static_cast<unsigned>(h.type), static_cast<unsigned>(h.lane), h.index(), h.ack);
  std::string s(text, static_cast<std::size_t>(n));
  if (names_memory(h.type)) {
    // Keys are capabilities: only enough of one to tell them apart gets into logs.
    n = std::snprintf(text, sizeof text, " key %02x… offset %" PRIu64, static_cast<unsigned>(h.a >> 56), h.b);
  } else {
    n = std::snprintf(text, sizeof text, " a %" PRIu64 " b %" PRIu64, h.a, h.b);
  }
  s.append(text, static_cast<std::size_t>(n));
  if (h.length >= h.head_bytes()) {
    n = std::snprintf(text, sizeof text, ", %zu bytes", h.body_bytes());
  } else {
    n = std::snprintf(text, sizeof text, ", malformed length %" PRIu32, h.length);
  }
  s.append(text, static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (h.flags() & (1u << i)) s.append(", ").append(flags[i]);
  }
  return s;
}

}  // namespace kfx::wire
