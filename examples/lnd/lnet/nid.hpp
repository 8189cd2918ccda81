// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Network identifiers: `address@net`, e.g. "10.0.0.1@kfx", "10.0.0.1@tcp1", "0@lo".

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "types.hpp"

namespace lnet {

/// A network: which kind, and which one of that kind ("tcp1" is number 1 of kind tcp).
struct net {
  std::uint16_t kind = 0;
  std::uint16_t number = 0;
  auto operator<=>(const net&) const = default;
};

/// Kinds, with the numbers that Lustre gives them (lnet/nidstr.h); `kfx` is ours.
enum net_kind : std::uint16_t { kind_tcp = 2, kind_o2ib = 5, kind_lo = 9, kind_gni = 13, kind_kfi = 16, kind_kfx = 64 };

/// A nid4: 32 bits of address on a network. All bits set means any.
struct nid {
  std::uint32_t address = 0;
  lnet::net net{};
  auto operator<=>(const nid&) const = default;

  static constexpr nid any() noexcept { return {~std::uint32_t{0}, {0xffff, 0xffff}}; }
  static constexpr nid loopback() noexcept { return {0, {kind_lo, 0}}; }
  bool is_any() const noexcept { return *this == any(); }
  bool is_loopback() const noexcept { return net.kind == kind_lo; }
  /// As on the wire: net kind and number in the upper half, the address in the lower.
  constexpr std::uint64_t packed() const noexcept {
    return std::uint64_t{net.kind} << 48 | std::uint64_t{net.number} << 32 | address;
  }
  static constexpr nid unpack(std::uint64_t v) noexcept {
    return {static_cast<std::uint32_t>(v), {static_cast<std::uint16_t>(v >> 48), static_cast<std::uint16_t>(v >> 32)}};
  }
};

struct process_id {
  lnet::nid nid = nid::any();
  std::uint32_t pid = any_pid;
  auto operator<=>(const process_id&) const = default;
};

/// "tcp", "tcp0" (the same), "o2ib3", "lo" (without a number); nothing when it is no net.
std::optional<net> parse_net(std::string_view text) noexcept;
/// "10.0.0.1@tcp" (kinds whose address is an IPv4 address), "12@gni" (those that number), "0@lo", "<?>" alone: any.
/// Decimal, no leading zeros.
std::optional<nid> parse_nid(std::string_view text) noexcept;
std::string to_string(net);  ///< number 0 is left out
std::string to_string(nid);
std::string to_string(const process_id&);  ///< "12345-10.0.0.1@tcp"
/// The address alone: "10.0.0.1", "12".
std::string address_text(nid);

}  // namespace lnet

template <>
struct std::hash<lnet::nid> {
  std::size_t operator()(const lnet::nid& n) const noexcept { return std::hash<std::uint64_t>()(n.packed()); }
};
