// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// LNet's message header for nid4, 72 bytes, little-endian (Lustre's lnet-idl.h, struct _lnet_hdr_nid4):
///
///          all types            ACK               PUT               GET               REPLY            HELLO
///      0   u64 dest_nid
///      8   u64 src_nid
///     16   u32 dest_pid
///     20   u32 src_pid
///     24   u32 type
///     28   u32 payload_length
///     32                        u64,u64 dst_wmd   u64,u64 ack_wmd   u64,u64 rtn_wmd   u64,u64 dst_wmd  u64 incarnation
///     40                                                                                               u32 type
///     48                        u64 match_bits    u64 match_bits    u64 match_bits
///     56                        u32 mlength       u64 hdr_data      u32 portal
///     60                                                            u32 src_offset
///     64                                          u32 portal        u32 sink_length
///     68                                          u32 offset

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "nid.hpp"

namespace lnet {

enum class msg_type : std::uint32_t { ack = 0, put = 1, get = 2, reply = 3, hello = 4 };
const char* to_string(msg_type) noexcept;

/// Names an MD of another node: which life of it, and which object.
struct wire_handle {
  std::uint64_t interface_cookie = ~std::uint64_t{0};
  std::uint64_t object_cookie = ~std::uint64_t{0};
  bool none() const noexcept { return object_cookie == ~std::uint64_t{0}; }
  bool operator==(const wire_handle&) const = default;
};

struct header {
  static constexpr std::size_t size = 72;
  nid dest_nid{}, src_nid{};
  std::uint32_t dest_pid = 0, src_pid = 0;
  msg_type type = msg_type::ack;
  std::uint32_t payload_length = 0;
  wire_handle wmd{};  ///< put: of the ACK it wants (none: no ACK); get: of the sink; ack, reply: whom it is for
  std::uint64_t match_bits = 0;   ///< put, get, ack
  std::uint64_t hdr_data = 0;     ///< put
  std::uint32_t portal = 0;       ///< put, get
  std::uint32_t offset = 0;       ///< put; get: of the source
  std::uint32_t length = 0;       ///< get: of the sink; ack: what was taken
  std::uint64_t incarnation = 0;  ///< hello
  std::uint32_t hello_type = 0;   ///< hello
  bool operator==(const header&) const = default;

  std::array<std::byte, size> encode() const noexcept;
  /// Nothing when the type is none that LNet knows. What the type has no place for keeps its default, and bytes that
  /// mean nothing are not looked at.
  static std::optional<header> decode(std::span<const std::byte, size>) noexcept;
  std::string describe() const;  ///< one line, for logs
};

}  // namespace lnet
