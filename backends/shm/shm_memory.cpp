// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_memory.hpp"

#include <array>
#include <cstring>
#include <optional>
#include <type_traits>

#include "base/cursor.hpp"
#include "kfx/error.hpp"

namespace kfx::shm {
namespace {

/// So many messages are taken at a time: a peer that talks without end is not listened to without end.
constexpr unsigned messages_a_turn = 512;
/// An initiator that never sleeps looks that often for files it may unmap.
constexpr std::uint32_t accesses_a_look = 1024;

std::error_code reset() { return std::make_error_code(std::errc::connection_reset); }

bool grants(access rights, access wanted) noexcept {
  return (static_cast<unsigned>(rights) & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
}

bool is_word(const std::byte* p, std::size_t bytes) noexcept {
  return bytes == 8 && reinterpret_cast<std::uintptr_t>(p) % 8 == 0;
}

void copy_run(std::byte* there, const_buffer from) noexcept { std::memmove(there, from.data(), from.size()); }
void copy_run(std::byte* there, mutable_buffer into) noexcept { std::memmove(into.data(), there, into.size()); }

void copy_list(std::byte* there, std::span<const const_buffer> from, std::size_t bytes) noexcept {
  const std::array to{mutable_buffer(there, bytes)};
  base::cursor<const_buffer> source(from);
  base::cursor<mutable_buffer> sink(to);
  base::copy(source, sink, bytes);
}

void copy_list(std::byte* there, std::span<const mutable_buffer> into, std::size_t bytes) noexcept {
  const std::array from{const_buffer(there, bytes)};
  base::cursor<const_buffer> source(from);
  base::cursor<mutable_buffer> sink(into);
  base::copy(source, sink, bytes);
}

template <class Buffer>
void copy_pieces(std::byte* there, std::span<const Buffer> local, std::size_t bytes) noexcept {
  if (local.size() == 1) [[likely]]
    return copy_run(there, local[0]);
  copy_list(there, local, bytes);
}

void copy_word(std::byte* there, std::span<const const_buffer> from) noexcept {
  std::uint64_t value = 0;
  copy_pieces(reinterpret_cast<std::byte*>(&value), from, sizeof value);
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(there), value, __ATOMIC_RELEASE);
}

void copy_word(std::byte* there, std::span<const mutable_buffer> into) noexcept {
  std::uint64_t value = __atomic_load_n(reinterpret_cast<const std::uint64_t*>(there), __ATOMIC_ACQUIRE);
  copy_pieces(reinterpret_cast<std::byte*>(&value), into, sizeof value);
}

/// Between the peer's memory, as mapped, and the program's. A word is never seen torn.
template <class Buffer>
void copy_mapped(std::byte* there, std::span<const Buffer> local, std::size_t bytes) noexcept {
  if (is_word(there, bytes)) return copy_word(there, local);
  copy_pieces(there, local, bytes);
}

}  // namespace

shm_memory::shm_memory(const parts& p)
    : parts_(p),
      neighbour_(p.socket, p.peer_pages),
      exports_(std::make_shared<export_table>(p.socket, *p.own, *p.peer, neighbour_, p.way)) {
  if (p.way == bulk::mapped) {
    cross_ = "not asked for";
  } else if (neighbour_.reachable(*p.peer, cross_)) {
    const std::optional<std::size_t> from = p.way == bulk::cross ? 0 : faster_than_ring_from(neighbour_, cross_);
    crosses_ = from.has_value();
    cross_from_ = from.value_or(0);
    if (!crosses_) cross_ = "slower here: " + cross_;
  }
  p.own->reaches.store(crosses_ ? reach::yes : reach::no, std::memory_order_release);
  caps_ = {limits::fragments, 1, most_bytes, true, true, true, crosses_};
}

bool shm_memory::takes(backend::direct_key key, std::uint64_t bytes, bool atomic8) {
  const import_table::import* i = look_up(key);
  // What is wrong with the key, the access itself finds. The kernel promises nothing about eight bytes.
  return !i || !i->cross || (bytes >= cross_from_ && !atomic8);
}

result<backend::direct_key> shm_memory::share(std::span<const mutable_buffer> memory, access rights,
                                              backend::sharing how) {
  if (closed_) return reset();
  if (memory.size() != 1) return make_error_code(errc::not_supported);
  return exports_->share(memory[0], rights, how);
}

/// A token arrives after its key did, but nobody may have looked at the socket since.
inline const import_table::import* shm_memory::look_up(backend::direct_key key) {
  const import_table::import* i = imports_.find(key);
  return i && ++accesses_ % accesses_a_look != 0 ? i : listen_for(key);
}

const import_table::import* shm_memory::listen_for(backend::direct_key key) {
  listen();
  return imports_.find(key);
}

std::error_code shm_memory::why_not(const import_table::import* i, std::size_t pieces, access wanted) const {
  if (pieces > caps_.max_fragments) return errc::too_many_fragments;
  if (broken_) return reset();
  if (!i) return errc::stale_region;
  if (!grants(i->rights, wanted)) return errc::access_denied;
  return errc::out_of_bounds;
}

template <class Buffer>
backend::started shm_memory::move(backend::direct_key key, std::uint64_t offset, std::span<const Buffer> local,
                                  access wanted, backend::cookie id) {
  if (closed_) return backend::started::no_room;
  const std::size_t bytes = local.size() == 1 ? local[0].size() : base::total(local);
  const import_table::import* i = look_up(key);
  const bool sound = i && !broken_ && local.size() <= caps_.max_fragments && bytes <= caps_.max_bytes &&
                     grants(i->rights, wanted) && offset <= i->length && bytes <= i->length - offset;
  if (!sound) [[unlikely]]
    return ended_.failed(id, why_not(i, local.size(), wanted));
  const live_word& live = parts_.peer->live[slot_of(key)];
  const std::uint64_t stamp = std::uint64_t{++accesses_} << 32 | key;
  std::optional<std::error_code> error;
  std::uint32_t says = enter(parts_.own->busy, live, stamp, offset);
  if (says == key) {
    copy(*i, offset, local, bytes, stamp, error);
    leave(parts_.own->busy);
    // The owner may have lost patience and taken the memory away under the copy.
    says = live.load(std::memory_order_acquire);
  } else {
    leave(parts_.own->busy);
  }
  if (says != key) error = says == live_elsewhere ? reset() : make_error_code(errc::stale_region);
  return error ? ended_.failed(id, *error) : backend::started::done;
}

template <class Buffer>
inline void shm_memory::copy(const import_table::import& i, std::uint64_t offset, std::span<const Buffer> local,
                             std::size_t bytes, std::uint64_t stamp, std::optional<std::error_code>& error) {
  if (bytes == 0) return;
  if (!i.cross) [[likely]] {
    std::byte* base = imports_.base(i);
    if (base) return copy_mapped(base + offset, local, bytes);
    error = make_error_code(errc::out_of_resources);  // ends the link, and frames do it
    return;
  }
  std::error_code said;
  if constexpr (std::is_same_v<Buffer, const_buffer>)
    said = neighbour_.put(i.address + offset, local, bytes, stamp);
  else
    said = neighbour_.get(i.address + offset, local, bytes, *parts_.own);
  if (said) error = said;
}

backend::started shm_memory::put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> from,
                                 backend::cookie id) {
  return move(key, offset, from, access::write, id);
}

backend::started shm_memory::get(backend::direct_key key, std::uint64_t offset, std::span<const mutable_buffer> into,
                                 backend::cookie id) {
  return move(key, offset, into, access::read, id);
}

bool shm_memory::flush(backend::cookie id) {
  if (closed_ || !ended_.prepare()) return false;
  ended_.push(id);
  return true;
}

void shm_memory::report(backend::frame_sink& sink) {
  ended_.drain([&](backend::cookie id, std::error_code error) { sink.on_direct(id, error); });
}

bool shm_memory::listen() noexcept {
  if (closed_) return false;
  for (unsigned n = 0; n < messages_a_turn && !broken_; ++n) {
    control said;
    descriptor given;
    switch (receive(parts_.socket, said, given)) {
      case arrival::nothing:
        return true;
      case arrival::wake:
        break;
      case arrival::control:
        // An address is for who said that it reaches it: what else it leads to nobody has looked at.
        broken_ = (said.what == control::cross && !crosses_) || !imports_.take(said, std::move(given));
        break;
      case arrival::ended:
      case arrival::nonsense:
        broken_ = true;
    }
  }
  return !broken_;
}

void shm_memory::close() noexcept {
  if (std::exchange(closed_, true)) return;
  ended_.clear();
  exports_->close();
  imports_.clear();
}

std::string shm_memory::describe() const {
  std::string text = parts_.way == bulk::cross ? "bulk data: " : "bulk data: buffers of allocate() mapped, ";
  if (!crosses_) return text + "else the ring; not through the kernel: " + cross_;
  text += "regions through the kernel (process_vm)";
  if (cross_from_ != 0) text += " from " + std::to_string(cross_from_) + " bytes on (" + cross_ + ")";
  return text + ", else the ring";
}

}  // namespace kfx::shm
