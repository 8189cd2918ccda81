// SPDX-License-Identifier: BSD-2-Clause
// Arbitrary bytes as the body of a handshake frame; the first byte chooses the frame's type. What is understood can be
// said again and means the same.

#include <cstdint>
#include <cstdlib>

#include "cm/handshake.hpp"

using namespace kfx;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const const_buffer body{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  wire::head head;
  head.type = static_cast<wire::type>(data[0] % 8);
  head.length = static_cast<std::uint32_t>(wire::head_size + body.size());
  std::string why;
  const auto first = cm::decode(head, body, &why);
  require(first || !why.empty());
  if (!first) return 0;

  const auto frame = cm::encode(*first);
  require(frame.size() <= cm::max_greeting);
  const auto again = wire::peek(frame);
  require(again.state == wire::peeked::ok && again.head.length == frame.size());
  const auto second = cm::decode(again.head, const_buffer(frame).subspan(again.head.head_bytes()));
  require(second && *second == *first);
  return 0;
}
