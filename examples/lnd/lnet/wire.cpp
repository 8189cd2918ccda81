// SPDX-License-Identifier: BSD-2-Clause
#include "wire.hpp"

#include <concepts>

namespace lnet {
namespace {

template <std::unsigned_integral Word>
void put(std::span<std::byte, header::size> at, std::size_t offset, Word v) noexcept {
  for (std::size_t i = 0; i < sizeof v; ++i) at[offset + i] = static_cast<std::byte>(v >> (8 * i));
}

template <std::unsigned_integral Word>
void get(std::span<const std::byte, header::size> at, std::size_t offset, Word& v) noexcept {
  v = 0;
  for (std::size_t i = 0; i < sizeof v; ++i) v |= static_cast<Word>(std::to_integer<Word>(at[offset + i]) << (8 * i));
}

/// Everything but type and NIDs, which are no plain words: read and written by the same list of places.
template <typename Header, typename Each>
void each_field(Header& h, Each&& word) noexcept {
  word(16, h.dest_pid);
  word(20, h.src_pid);
  word(28, h.payload_length);
  if (h.type == msg_type::hello) {
    word(32, h.incarnation);
    word(40, h.hello_type);
    return;
  }
  word(32, h.wmd.interface_cookie);
  word(40, h.wmd.object_cookie);
  if (h.type == msg_type::reply) return;
  word(48, h.match_bits);
  switch (h.type) {
    case msg_type::ack:
      word(56, h.length);
      break;
    case msg_type::put:
      word(56, h.hdr_data);
      word(64, h.portal);
      word(68, h.offset);
      break;
    default:
      word(56, h.portal);
      word(60, h.offset);
      word(64, h.length);
  }
}

std::string hexadecimal(std::uint64_t v) {
  std::string text;
  do text.insert(text.begin(), "0123456789abcdef"[v & 15]);
  while ((v >>= 4) != 0);
  return "0x" + text;
}

}  // namespace

const char* to_string(msg_type t) noexcept {
  switch (t) {
    case msg_type::ack:
      return "ACK";
    case msg_type::put:
      return "PUT";
    case msg_type::get:
      return "GET";
    case msg_type::reply:
      return "REPLY";
    case msg_type::hello:
      return "HELLO";
  }
  return "UNKNOWN";
}

std::array<std::byte, header::size> header::encode() const noexcept {
  std::array<std::byte, size> bytes{};
  const std::span<std::byte, size> at(bytes);
  put(at, 0, dest_nid.packed());
  put(at, 8, src_nid.packed());
  put(at, 24, static_cast<std::uint32_t>(type));
  each_field(*this, [&](std::size_t offset, auto v) { put(at, offset, v); });
  return bytes;
}

std::optional<header> header::decode(std::span<const std::byte, size> bytes) noexcept {
  header h;
  std::uint64_t dest = 0, src = 0;
  std::uint32_t type = 0;
  get(bytes, 0, dest);
  get(bytes, 8, src);
  get(bytes, 24, type);
  if (type > static_cast<std::uint32_t>(msg_type::hello)) return {};
  h.dest_nid = nid::unpack(dest);
  h.src_nid = nid::unpack(src);
  h.type = static_cast<msg_type>(type);
  each_field(h, [&](std::size_t offset, auto& v) { get(bytes, offset, v); });
  return h;
}

std::string header::describe() const {
  std::string text = std::string(to_string(type)) + " " + to_string(process_id{src_nid, src_pid}) + " -> " +
                     to_string(process_id{dest_nid, dest_pid}) + ", payload " + std::to_string(payload_length);
  if (type == msg_type::hello)
    return text + ", incarnation " + hexadecimal(incarnation) + ", type " + std::to_string(hello_type);
  text += wmd.none() ? ", no handle"
                     : ", handle " + hexadecimal(wmd.interface_cookie) + ":" + hexadecimal(wmd.object_cookie);
  if (type == msg_type::reply) return text;
  text += ", match bits " + hexadecimal(match_bits);
  if (type == msg_type::put || type == msg_type::get)
    text += ", portal " + std::to_string(portal) + ", offset " + std::to_string(offset);
  if (type == msg_type::put) text += ", data " + hexadecimal(hdr_data);
  if (type == msg_type::get || type == msg_type::ack) text += ", length " + std::to_string(length);
  return text;
}

}  // namespace lnet
