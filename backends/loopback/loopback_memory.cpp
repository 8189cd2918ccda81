// SPDX-License-Identifier: BSD-2-Clause
#include "backends/loopback/loopback_memory.hpp"

#include <atomic>

#include "base/cursor.hpp"

namespace kfx::loopback {
namespace {

bool grants(access rights, access wanted) {
  return (static_cast<unsigned>(rights) & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
}

/// The eight bytes at `offset`, when an atomic access reaches them.
std::uint64_t* aligned8(std::span<const mutable_buffer> memory, std::uint64_t offset, std::size_t bytes) {
  if (bytes != 8) return nullptr;
  cursor<mutable_buffer> at(memory);
  at.skip(offset);
  const mutable_buffer word = at.next(8);
  if (word.size() != 8 || reinterpret_cast<std::uintptr_t>(word.data()) % 8 != 0) return nullptr;
  return reinterpret_cast<std::uint64_t*>(word.data());
}

}  // namespace

result<backend::direct_key> export_table::share(std::span<const mutable_buffer> memory, access rights) {
  const std::lock_guard guard(lock_);
  if (detached_) return std::make_error_code(std::errc::connection_reset);
  try {
    if (free_.empty()) {
      if (slots_.size() > 0xffff) return make_error_code(errc::out_of_resources);
      slots_.emplace_back();
      // Room to give every slot back, so that `withdraw` cannot fail.
      if (free_.capacity() < slots_.size()) free_.reserve(2 * slots_.size());
      free_.push_back(static_cast<std::uint16_t>(slots_.size() - 1));
    }
    exported& e = slots_[free_.back()];
    e.memory.assign(memory.begin(), memory.end());
    e.bytes = total(memory);
    e.rights = rights;
    e.live = true;
    ++e.generation;
    const backend::direct_key key = (backend::direct_key{e.generation} << 16) | free_.back();
    free_.pop_back();
    return key;
  } catch (const std::bad_alloc&) {
    return make_error_code(errc::out_of_resources);
  }
}

void export_table::withdraw(backend::direct_key key) {
  const std::lock_guard guard(lock_);
  exported* e = find(key);
  if (!e) return;
  e->live = false;
  e->memory.clear();
  if (e->generation != 0xffff) free_.push_back(static_cast<std::uint16_t>(key & 0xffff));
}

void export_table::detach() {
  const std::lock_guard guard(lock_);
  detached_ = true;
  slots_.clear();
  free_.clear();
}

export_table::exported* export_table::find(backend::direct_key key) noexcept {
  const std::size_t slot = key & 0xffff;
  if (slot >= slots_.size()) return nullptr;
  exported& e = slots_[slot];
  return e.live && e.generation == key >> 16 ? &e : nullptr;
}

std::error_code export_table::allowed(const exported* e, std::uint64_t offset, std::size_t bytes,
                                      access wanted) const noexcept {
  if (detached_) return std::make_error_code(std::errc::connection_reset);
  if (!e) return errc::stale_region;
  if (!grants(e->rights, wanted)) return errc::access_denied;
  if (offset > e->bytes || bytes > e->bytes - offset) return errc::out_of_bounds;
  return {};
}

std::error_code export_table::check(backend::direct_key key, std::uint64_t offset, std::size_t bytes, access wanted) {
  const std::lock_guard guard(lock_);
  return allowed(find(key), offset, bytes, wanted);
}

std::error_code export_table::put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> from) {
  const std::size_t bytes = total(from);
  const std::lock_guard guard(lock_);
  const exported* e = find(key);
  if (const std::error_code error = allowed(e, offset, bytes, access::write)) return error;
  cursor<const_buffer> source(from);
  if (std::uint64_t* word = aligned8(e->memory, offset, bytes)) {
    std::uint64_t value = 0;
    const std::array to{std::as_writable_bytes(std::span(&value, 1))};
    cursor<mutable_buffer> sink(to);
    copy(source, sink, bytes);
    std::atomic_ref(*word).store(value, std::memory_order_release);
    return {};
  }
  cursor<mutable_buffer> sink(e->memory);
  sink.skip(offset);
  copy(source, sink, bytes);
  return {};
}

std::error_code export_table::get(backend::direct_key key, std::uint64_t offset, std::span<const mutable_buffer> into) {
  const std::size_t bytes = total(into);
  const std::lock_guard guard(lock_);
  const exported* e = find(key);
  if (const std::error_code error = allowed(e, offset, bytes, access::read)) return error;
  cursor<mutable_buffer> sink(into);
  if (std::uint64_t* word = aligned8(e->memory, offset, bytes)) {
    const std::uint64_t value = std::atomic_ref(*word).load(std::memory_order_acquire);
    const std::array from{std::as_bytes(std::span(&value, 1))};
    cursor<const_buffer> source(from);
    copy(source, sink, bytes);
    return {};
  }
  cursor<mutable_buffer> at(e->memory);
  at.skip(offset);
  for (std::size_t left = bytes; left > 0;) {
    const mutable_buffer piece = at.next(left);
    left -= piece.size();
    const std::array from{const_buffer(piece)};
    cursor<const_buffer> source(from);
    copy(source, sink, piece.size());
  }
  return {};
}

result<backend::direct_key> loopback_memory::share(std::span<const mutable_buffer> memory, access rights,
                                                   backend::sharing) {
  if (memory.size() > caps_.max_export_fragments) return make_error_code(errc::not_supported);
  return own_.share(memory, rights);
}

backend::started loopback_memory::put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> from,
                                      backend::cookie id) {
  if (closed_ || !ended_.prepare()) return backend::started::no_room;
  std::error_code error;
  if (from.size() > caps_.max_fragments)
    error = errc::too_many_fragments;
  else if (total(from) > caps_.max_bytes)
    error = errc::out_of_bounds;
  else
    error = peer_.put(key, offset, from);
  return ended_.made(id, error);
}

backend::started loopback_memory::get(backend::direct_key key, std::uint64_t offset,
                                      std::span<const mutable_buffer> into, backend::cookie id) {
  if (closed_ || !ended_.prepare()) return backend::started::no_room;
  std::error_code error;
  if (into.size() > caps_.max_fragments)
    error = errc::too_many_fragments;
  else if (total(into) > caps_.max_bytes)
    error = errc::out_of_bounds;
  else
    error = peer_.get(key, offset, into);
  return ended_.made(id, error);
}

bool loopback_memory::flush(backend::cookie id) {
  if (closed_ || !ended_.prepare()) return false;
  ended_.push(id);
  return true;
}

void loopback_memory::close() noexcept {
  closed_ = true;
  ended_.clear();
  own_.detach();
}

}  // namespace kfx::loopback
