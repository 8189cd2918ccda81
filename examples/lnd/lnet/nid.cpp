// SPDX-License-Identifier: BSD-2-Clause
#include "nid.hpp"

#include <algorithm>
#include <charconv>

namespace lnet {
namespace {

struct kind_facts {
  net_kind kind;
  std::string_view name;
  bool ip;  ///< its addresses are IPv4 addresses, else numbers
};

constexpr kind_facts kinds[] = {{kind_tcp, "tcp", true},  {kind_o2ib, "o2ib", true}, {kind_lo, "lo", false},
                                {kind_gni, "gni", false}, {kind_kfi, "kfi", false},  {kind_kfx, "kfx", true}};

const kind_facts* facts_of(std::uint16_t kind) noexcept {
  const auto* const found = std::find_if(std::begin(kinds), std::end(kinds), [&](auto& k) { return k.kind == kind; });
  return found == std::end(kinds) ? nullptr : found;
}

/// All of the text, as a number in its shortest form.
template <typename Number>
bool read_number(std::string_view text, Number& n) noexcept {
  if (text.empty() || text[0] < '0' || text[0] > '9' || (text[0] == '0' && text.size() > 1)) return false;
  const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && behind == text.data() + text.size();
}

std::optional<std::uint32_t> read_ip(std::string_view text) noexcept {
  std::uint32_t address = 0;
  for (int i = 0; i < 4; ++i) {
    const std::size_t dot = i < 3 ? text.find('.') : text.size();
    std::uint8_t byte = 0;
    if (dot == text.npos || !read_number(text.substr(0, dot), byte)) return {};
    address = address << 8 | byte;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return address;
}

std::string hexadecimal(std::uint32_t v) {
  char digits[8];
  const auto written = std::to_chars(std::begin(digits), std::end(digits), v, 16);
  return "0x" + std::string(std::begin(digits), written.ptr);
}

}  // namespace

std::optional<net> parse_net(std::string_view text) noexcept {
  for (const kind_facts& k : kinds) {
    if (!text.starts_with(k.name)) continue;
    net n{k.kind, 0};
    const std::string_view number = text.substr(k.name.size());
    if (number.empty() || (k.kind != kind_lo && read_number(number, n.number))) return n;
  }
  return {};
}

std::optional<nid> parse_nid(std::string_view text) noexcept {
  if (text == "<?>") return nid::any();
  const std::size_t at = text.find('@');
  if (at == text.npos) return {};
  const auto on = parse_net(text.substr(at + 1));
  if (!on) return {};
  const std::string_view address = text.substr(0, at);
  if (facts_of(on->kind)->ip) {
    const auto ip = read_ip(address);
    return ip ? std::optional<nid>({*ip, *on}) : std::nullopt;
  }
  std::uint32_t number = 0;
  if (!read_number(address, number) || (on->kind == kind_lo && number != 0)) return {};
  return nid{number, *on};
}

std::string to_string(net n) {
  const kind_facts* const facts = facts_of(n.kind);
  if (facts == nullptr) return "<" + std::to_string(n.kind) + ":" + std::to_string(n.number) + ">";
  return std::string(facts->name) + (n.number == 0 ? "" : std::to_string(n.number));
}

std::string address_text(nid n) {
  const kind_facts* const facts = facts_of(n.net.kind);
  if (facts == nullptr) return hexadecimal(n.address);
  if (!facts->ip) return std::to_string(n.address);
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (!text.empty()) text += '.';
    text += std::to_string(n.address >> shift & 0xff);
  }
  return text;
}

std::string to_string(nid n) { return n.is_any() ? "<?>" : address_text(n) + "@" + to_string(n.net); }

std::string to_string(const process_id& id) {
  return (id.pid == any_pid ? "<?>" : std::to_string(id.pid)) + "-" + to_string(id.nid);
}

}  // namespace lnet
