// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_imports.hpp"

#include <new>

#include "backends/shm/shm_page.hpp"

namespace kfx::shm {
namespace {

constexpr std::uint32_t all_rights = static_cast<std::uint32_t>(access::read_write);

bool sound_key(const control& c) noexcept {
  return c.key != 0 && c.key != live_elsewhere && c.rights != 0 && (c.rights & ~all_rights) == 0 && c.length != 0 &&
         c.length <= SIZE_MAX / 2;
}

}  // namespace

static_assert(most_keys == 4096);

bool import_table::take(const control& c, descriptor given) {
  try {
    switch (c.what) {
      case control::mapped:
        return sound_key(c) && take_mapped(c, std::move(given));
      case control::cross:
        if (given || !sound_key(c) || c.address > UINT64_MAX - c.length) return false;
        if (keys_.empty()) keys_.resize(most_keys);
        keys_[slot_of(c.key)] = {c.key, 0, static_cast<access>(c.rights), true, c.length, c.address};
        return true;
      case control::forget:
        if (given || c.file >= files_.size() || files_[c.file].size == 0) return false;
        files_[c.file] = {};
        return true;
      default:
        return false;
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool import_table::take_mapped(const control& c, descriptor given) {
  if (c.file >= most_files) return false;
  if (files_.size() <= c.file) files_.resize(c.file + 1);
  const bool fresh = files_[c.file].size == 0;
  if (fresh && !take_file(c, std::move(given))) return false;
  const file& f = files_[c.file];
  const bool writes = c.rights & static_cast<std::uint32_t>(access::write);
  if (c.length > f.size || (writes && !f.writable)) return false;
  if (keys_.empty()) keys_.resize(most_keys);
  keys_[slot_of(c.key)] = {c.key, c.file, static_cast<access>(c.rights), false, c.length, 0};
  return true;
}

bool import_table::take_file(const control& c, descriptor given) {
  if (c.size == 0 || c.size > SIZE_MAX / 2) return false;
  file& f = files_[c.file];
  f.writable = c.rights & static_cast<std::uint32_t>(access::write);
  f.size = c.size;
  // Without descriptors or memory left here the key is of no use, which is not the peer's fault.
  if (!given) return true;
  std::string why;
  if (!is_sealed_file(given, static_cast<std::size_t>(c.size), why)) return false;
  f.pages = mapping(given.get(), static_cast<std::size_t>(c.size), f.writable);
  return true;
}

void import_table::clear() noexcept {
  keys_.clear();
  files_.clear();
}

std::size_t import_table::mapped_files() const noexcept {
  std::size_t n = 0;
  for (const file& f : files_) n += f.pages ? 1 : 0;
  return n;
}

}  // namespace kfx::shm
