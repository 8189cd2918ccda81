// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The frames of kfx, byte for byte (docs/wire-format.md). Everything is little-endian and unaligned.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "kfx/types.hpp"

namespace kfx::wire {

/// Frames up to `last_control` belong to one link and are not numbered; the others are numbered by their order
/// within a session, replayed after a reconnect, and acknowledged.
enum class type : std::uint8_t {
  hello = 1,
  welcome = 2,
  refuse = 3,
  ping = 4,
  pong = 5,
  ack = 6,
  bye = 7,
  last_control = 15,
  write = 16,       ///< bytes for the target's memory
  read = 17,        ///< asks for bytes of the target's memory, or of a send's payload
  data = 18,        ///< answers a read
  send = 19,        ///< a message, with its payload when that is small
  result = 20,      ///< status of a request
  reply = 21,       ///< bytes that answer a send or an open
  open = 22,        ///< asks for a token by name
  commit = 23,      ///< asks for durability
  reject = 24,      ///< ends an offer of the target
  cancel = 25,      ///< the initiator gave up a request
  nop = 26,         ///< stands in for a frame whose op ended before a replay
  resolve = 27,     ///< asks for the direct key of a region
  offer_done = 28,  ///< one-sided use of an offer is over
  notify = 29,      ///< one-sided writes before this frame are to be told
};

/// Flags, in the top byte of `op`.
enum flag : std::uint8_t {
  last = 1,           ///< no more frames of this op follow in this direction
  notify = 2,         ///< write: an `imm` extension follows the head; tell the target's handler
  offer = 4,          ///< the key names an offer; a read with `last` ends it
  durable = 8,        ///< write: persist before the result
  atomic8 = 16,       ///< write: 8 aligned bytes, stored at once
  later = 16,         ///< result: there is none yet; another one follows, and the ack is none
  wants_result = 32,  ///< write, send: answer with `result` (else the ack of its last frame is the answer)
  payload = 64,       ///< read: the source is the payload of the target's send named by `a`
  closes = 64,        ///< write: this ends the offer
  wants_reply = 128   ///< send: a reply is awaited
};

/// The first 32 bytes of every frame.
///
///     0  u32 length   of the whole frame
///     4  u8  type
///     5  u8  head     length of the head in units of 8 bytes: 4 to 9
///     6  u16 lane
///     8  u32 ack      numbered frames of the other side that this one is through with in this session, mod 2^32
///    12  u32 op       op index (24 bits), flags (8 bits)
///    16  u64 a        by type
///    24  u64 b        by type
///    32  u64 ext[]    by type, up to 5
struct head {
  std::uint32_t length = 0;
  wire::type type{};
  std::uint8_t words = 4;
  std::uint16_t lane = 0;
  std::uint32_t ack = 0;
  std::uint32_t op = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;

  std::uint32_t index() const noexcept { return op & 0xffffff; }
  std::uint8_t flags() const noexcept { return static_cast<std::uint8_t>(op >> 24); }
  std::size_t head_bytes() const noexcept { return std::size_t{words} * 8; }
  std::size_t body_bytes() const noexcept { return length - head_bytes(); }
  bool numbered() const noexcept { return type > wire::type::last_control; }
};
static_assert(sizeof(head) == 32);
static_assert(std::endian::native == std::endian::little, "a big-endian port needs byte swaps in load and store");

/// An ack so far behind is no ack.
inline constexpr std::uint32_t says_nothing = 1u << 30;
/// In `a` of a bye: the program ended the session, whatever is under way.
inline constexpr std::uint64_t bye_closed = 1;
inline constexpr std::size_t head_size = 32;
inline constexpr std::size_t ack_at = 8;  ///< in the head
inline constexpr std::size_t max_ext = 5;
inline constexpr std::size_t max_head = head_size + 8 * max_ext;
inline constexpr std::size_t max_frame = max_head + limits::frame;
/// "kfx" and the version of this format; the first bytes of a hello's body.
inline constexpr std::uint32_t magic = 0x0178666b;
inline constexpr std::uint16_t format_version = 1;

inline std::uint32_t pack_op(std::uint32_t index, std::uint8_t flags) noexcept {
  return (index & 0xffffff) | (std::uint32_t{flags} << 24);
}

template <class T>
T load(const std::byte* p) noexcept {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
void store(std::byte* p, T v) noexcept {
  std::memcpy(p, &v, sizeof v);
}

/// Whether a frame's lengths are possible ones. Everything else is the engine's to judge.
inline bool sound(const head& h) noexcept {
  return h.words >= 4 && h.words <= 4 + max_ext && h.length >= h.head_bytes() && h.body_bytes() <= limits::frame;
}

/// Reads and checks the lengths of a frame's first bytes. `need`: how many more bytes must arrive before anything
/// can be said. Never reads past `bytes`.
struct peeked {
  enum { more, bad, ok } state = more;
  wire::head head{};
};
inline peeked peek(const_buffer bytes) noexcept {
  if (bytes.size() < head_size) return {};
  peeked p{peeked::ok, load<head>(bytes.data())};
  if (!sound(p.head)) p.state = peeked::bad;
  return p;
}

/// Extension word `i`; the caller checked `words`.
inline std::uint64_t ext(const_buffer head_bytes, std::size_t i) noexcept {
  return load<std::uint64_t>(head_bytes.data() + head_size + 8 * i);
}

/// Writes a head in whole words. Put together field by field in memory and copied from there it would wait for its own
/// bytes: a wide load right behind narrow stores costs a dozen cycles, twice.
[[gnu::always_inline]] inline void put(std::byte* p, const head& h) noexcept {
  store(p, std::uint64_t{h.length} | std::uint64_t{static_cast<std::uint8_t>(h.type)} << 32 |
               std::uint64_t{h.words} << 40 | std::uint64_t{h.lane} << 48);
  store(p + 8, std::uint64_t{h.ack} | std::uint64_t{h.op} << 32);
  store(p + 16, h.a);
  store(p + 24, h.b);
}
/// And the same the other way round.
[[gnu::always_inline]] inline head take(const std::byte* p) noexcept {
  const auto first = load<std::uint64_t>(p), second = load<std::uint64_t>(p + 8);
  head h;
  h.length = static_cast<std::uint32_t>(first);
  h.type = static_cast<wire::type>(first >> 32 & 0xff);
  h.words = static_cast<std::uint8_t>(first >> 40);
  h.lane = static_cast<std::uint16_t>(first >> 48);
  h.ack = static_cast<std::uint32_t>(second);
  h.op = static_cast<std::uint32_t>(second >> 32);
  h.a = load<std::uint64_t>(p + 16);
  h.b = load<std::uint64_t>(p + 24);
  return h;
}

const char* name(type) noexcept;
/// "write lane 3 op 17 key 1f… offset 4096, 65536 bytes, last"
std::string to_string(const head&);

}  // namespace kfx::wire
