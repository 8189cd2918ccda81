// SPDX-License-Identifier: BSD-2-Clause
#include "protocol.hpp"

#include "part_file.hpp"

namespace store {
namespace {

std::error_code malformed() noexcept { return std::make_error_code(std::errc::protocol_error); }

template <class T>
T load(const std::byte* p) noexcept {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

std::string_view text(kfx::const_buffer b) noexcept { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

}  // namespace

kfx::result<parsed_request> parse_request(kfx::const_buffer bytes) noexcept {
  if (bytes.size() < sizeof(request)) return malformed();
  parsed_request p{load<request>(bytes.data()), text(bytes.subspan(sizeof(request)))};
  const request& r = p.head;
  if (r.magic != magic || r.op < verb::stat || r.op > last_verb) return malformed();
  if (r.path_length > max_path || r.path_length != p.path.size()) return malformed();
  if (r.mtime_ns >= 1'000'000'000) return malformed();
  return p;
}

kfx::result<reply> parse_reply(kfx::const_buffer bytes) noexcept {
  if (bytes.size() < sizeof(reply)) return malformed();
  const auto r = load<reply>(bytes.data());
  if (r.magic != magic || r.mtime_ns >= 1'000'000'000) return malformed();
  return r;
}

std::string encode(request head, std::string_view path) {
  head.path_length = static_cast<std::uint16_t>(path.size());
  std::string bytes(sizeof head + path.size(), '\0');
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, path.data(), path.size());
  return bytes;
}

bool good_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_name || name == "." || name == "..") return false;
  if (name.find('/') != name.npos || name.find('\0') != name.npos) return false;
  return !is_part_name(name);
}

void packet_writer::finish(entry head, std::string_view name, std::size_t data_length) noexcept {
  head.name_length = static_cast<std::uint16_t>(name.size());
  head.data_length = static_cast<std::uint32_t>(data_length);
  std::memcpy(space_.data() + used_, &head, sizeof head);
  std::memcpy(space_.data() + used_ + sizeof head, name.data(), name.size());
  used_ += sizeof head + name.size() + data_length;
  ++count_;
}

void packet_writer::add(entry head, std::string_view name, std::string_view data) noexcept {
  if (!data.empty()) std::memcpy(room(name.size(), data.size()).data(), data.data(), data.size());
  finish(head, name, data.size());
}

kfx::result<entry_view> packet_reader::next() noexcept {
  if (bytes_.size() < sizeof(entry)) return malformed();
  entry_view v{load<entry>(bytes_.data()), {}, {}};
  const std::size_t name = v.head.name_length;
  const std::size_t data = v.head.data_length;
  if (name > max_path || bytes_.size() - sizeof(entry) < name + data) return malformed();
  if (v.head.kind < kind::file || v.head.kind > kind::other || v.head.mtime_ns >= 1'000'000'000) return malformed();
  v.name = text(bytes_.subspan(sizeof(entry), name));
  v.data = bytes_.subspan(sizeof(entry) + name, data);
  bytes_ = bytes_.subspan(sizeof(entry) + name + data);
  return v;
}

}  // namespace store
