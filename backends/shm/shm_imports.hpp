// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The initiator's table: what the peer said it shares.

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/shm/segment.hpp"
#include "backends/shm/shm_control.hpp"
#include "kfx/types.hpp"

namespace kfx::shm {

/// Files that a side hands to the other at a time.
inline constexpr std::size_t most_files = 1024;

constexpr std::uint32_t slot_of(std::uint32_t key) noexcept { return key % 4096; }

/// One thread at a time.
class import_table {
 public:
  struct import {
    std::uint32_t key = 0;
    std::uint32_t file = 0;
    access rights{};
    bool cross = false;
    std::uint64_t length = 0;
    std::uint64_t address = 0;  ///< of the peer
  };

  /// Takes what the peer said. False: it makes no sense, and the peer is not to be listened to any more.
  bool take(const control&, descriptor given);
  /// Null: no such key was heard of.
  const import* find(std::uint32_t key) const noexcept {
    if (keys_.empty() || key == 0) return nullptr;
    const import& i = keys_[slot_of(key)];
    return i.key == key ? &i : nullptr;
  }
  /// Where a mapped key's memory begins. Null: it cannot be had here (no memory, no descriptors).
  std::byte* base(const import& i) const noexcept {
    // Another file may stand there by now, if the peer wants it so.
    const file& f = files_[i.file];
    const bool writes = static_cast<std::uint32_t>(i.rights) & static_cast<std::uint32_t>(access::write);
    return i.length <= f.pages.size() && (f.writable || !writes) ? f.pages.data() : nullptr;
  }
  void clear() noexcept;
  std::size_t mapped_files() const noexcept;

 private:
  struct file {
    mapping pages;
    std::uint64_t size = 0;  ///< 0: not in use
    bool writable = false;
  };
  bool take_mapped(const control&, descriptor given);
  bool take_file(const control&, descriptor given);

  std::vector<import> keys_;
  std::vector<file> files_;
};

}  // namespace kfx::shm
