// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What two nodes say to each other before a link carries a session: hello, welcome, refuse. A frame whose body is
///
///     u32 magic, u16 version, u16 flags, then fields { u16 tag, u16 length, length bytes }
///
/// A reader skips tags it does not know, so the list can grow; what has no version in common is refused by name.

#include <cstdint>
#include <string>
#include <vector>

#include "kfx/error.hpp"
#include "kfx/types.hpp"
#include "wire/frame.hpp"

namespace kfx::cm {

/// Bounds on what a stranger can make this node store. A longer sentence is cut, a longer address left out.
inline constexpr std::size_t max_fields = 64;
inline constexpr std::size_t max_addresses = 16;
inline constexpr std::size_t max_offers = 16;
inline constexpr std::size_t max_text = 255;
inline constexpr std::size_t max_sentence = 1024;
inline constexpr std::size_t max_greeting = 15 * 1024;  ///< bytes of the whole frame

/// Why a hello was refused, beyond what kfx::errc says.
enum class refusal : std::uint16_t {
  other,
  race,     ///< both sides connect to each other; the other attempt goes on, expect it
  already,  ///< there is a session between these nodes; ask for a separate one if that is meant
  lost,     ///< the two sides' counts do not fit together; begin a fresh session
};

/// How the sender can be reached through a backend of that name.
struct offer {
  std::string backend;
  std::string address;
  friend bool operator==(const offer&, const offer&) = default;
};

/// A decoded hello, welcome or refuse. Fields that were absent have their defaults.
struct greeting {
  wire::type kind = wire::type::hello;
  std::uint16_t version = wire::format_version;
  bool probe = false;     ///< only asks who is there; no session follows
  bool resume = false;    ///< hello: the session exists, `taken` counts its frames
  bool separate = false;  ///< hello: a second session between the same nodes is meant
  bool lost = false;      ///< welcome: the session of the hello is not known here; this is a fresh one

  std::string node_id;  ///< 32 hexadecimal digits (16 bytes on the wire)
  std::uint64_t incarnation = 0;
  std::uint64_t session = 0;
  std::uint64_t previous = 0;  ///< hello: the session that this fresh one takes the place of
  std::uint32_t taken = 0;     ///< numbered frames of the other side acted on
  std::uint16_t epoch = 0;     ///< of the link to come; a hello proposes, the welcome decides
  std::uint32_t credits = 0;   ///< requests the other side may have under way here
  std::string name;            ///< stable across lives of the sender
  std::string host_id;
  std::string process_id;
  std::string scheme;  ///< hello: of the URI that was connected to
  std::vector<std::string> addresses;
  std::vector<offer> offers;

  refusal why = refusal::other;  ///< refuse only, as the following
  int reason = 0;                ///< a kfx::errc
  std::string sentence;

  friend bool operator==(const greeting&, const greeting&) = default;
};

/// The whole frame, `max_greeting` bytes at most.
std::vector<std::byte> encode(const greeting&);

/// Reads a frame. Never trusts a length. Errors, each with a sentence for people: version_mismatch (it names both
/// versions), protocol_error.
result<greeting> decode(const wire::head&, const_buffer body, std::string* why = nullptr);

/// A refuse with its reason.
greeting make_refuse(refusal, std::error_code, std::string sentence);

}  // namespace kfx::cm
