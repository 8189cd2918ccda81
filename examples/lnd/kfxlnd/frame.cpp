// SPDX-License-Identifier: BSD-2-Clause
#include "frame.hpp"

#include <cstring>

namespace kfxlnd {
namespace {

struct preamble {
  std::uint32_t magic = 0x444e4c6b;  // "kLND"
  std::uint16_t version = 1;
  std::uint16_t flags = 0;
};
static_assert(sizeof(preamble) == 8 && std::endian::native == std::endian::little);
constexpr std::uint16_t has_token = 1;

}  // namespace

kfx::const_buffer wire_message::encode(std::span<std::byte, largest> to) const noexcept {
  preamble p;
  if (sink) p.flags = has_token;
  const auto header = hdr.encode();
  std::memcpy(to.data(), &p, sizeof p);
  std::memcpy(to.data() + sizeof p, header.data(), header.size());
  if (!sink) return to.first<bare>();
  const auto token = sink->encode();
  std::memcpy(to.data() + bare, token.data(), token.size());
  return to;
}

std::optional<wire_message> wire_message::decode(kfx::const_buffer from) noexcept {
  preamble p;
  if (from.size() != bare && from.size() != largest) return std::nullopt;
  std::memcpy(&p, from.data(), sizeof p);
  const bool token = from.size() == largest;
  if (p.magic != preamble{}.magic || p.version != preamble{}.version || p.flags != (token ? has_token : 0))
    return std::nullopt;
  const auto hdr = lnet::header::decode(from.subspan<sizeof(preamble), lnet::header::size>());
  if (!hdr) return std::nullopt;
  wire_message m{*hdr, std::nullopt};
  if (!token) return m;
  const auto sink = kfx::remote_region::decode(from.subspan(bare));
  if (!sink || !sink->single_use() || hdr->type != lnet::msg_type::get) return std::nullopt;
  m.sink = *sink;
  return m;
}

}  // namespace kfxlnd
