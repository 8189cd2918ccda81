// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_memory.hpp"

#include <array>
#include <cstring>
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

void copy_out(std::byte* to, std::span<const const_buffer> from, std::size_t bytes) noexcept {
  base::cursor<const_buffer> source(from);
  if (is_word(to, bytes)) {
    std::uint64_t value = 0;
    const std::array word{std::as_writable_bytes(std::span(&value, 1))};
    base::cursor<mutable_buffer> sink(word);
    base::copy(source, sink, bytes);
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(to), value, __ATOMIC_RELEASE);
    return;
  }
  const std::array there{mutable_buffer(to, bytes)};
  base::cursor<mutable_buffer> sink(there);
  base::copy(source, sink, bytes);
}

void copy_in(std::byte* from, std::span<const mutable_buffer> into, std::size_t bytes) noexcept {
  base::cursor<mutable_buffer> sink(into);
  std::uint64_t value = 0;
  const bool word = is_word(from, bytes);
  if (word) value = __atomic_load_n(reinterpret_cast<std::uint64_t*>(from), __ATOMIC_ACQUIRE);
  const std::array there{word ? std::as_bytes(std::span(&value, 1)) : const_buffer(from, bytes)};
  base::cursor<const_buffer> source(there);
  base::copy(source, sink, bytes);
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
const import_table::import* shm_memory::look_up(backend::direct_key key) {
  const import_table::import* i = imports_.find(key);
  if (!i || ++accesses_ % accesses_a_look == 0) {
    listen();
    i = imports_.find(key);
  }
  return i;
}

template <class Buffer>
std::error_code shm_memory::move(backend::direct_key key, std::uint64_t offset, std::span<const Buffer> local,
                                 access wanted) {
  if (local.size() > caps_.max_fragments) return errc::too_many_fragments;
  const std::size_t bytes = base::total(local);
  if (bytes > caps_.max_bytes) return errc::out_of_bounds;
  const import_table::import* i = look_up(key);
  if (broken_) return reset();
  if (!i) return errc::stale_region;
  if (!grants(i->rights, wanted)) return errc::access_denied;
  if (offset > i->length || bytes > i->length - offset) return errc::out_of_bounds;
  const live_word& live = parts_.peer->live[slot_of(key)];
  const std::uint64_t stamp = std::uint64_t{++accesses_} << 32 | key;
  std::error_code error;
  std::uint32_t says = enter(parts_.own->busy, live, stamp, offset);
  if (says == key) {
    error = copy(*i, offset, local, bytes, stamp);
    leave(parts_.own->busy);
    // The owner may have lost patience and taken the memory away under the copy.
    says = live.load(std::memory_order_acquire);
  } else {
    leave(parts_.own->busy);
  }
  if (says == key) return error;
  return says == live_elsewhere ? reset() : make_error_code(errc::stale_region);
}

template <class Buffer>
std::error_code shm_memory::copy(const import_table::import& i, std::uint64_t offset, std::span<const Buffer> local,
                                 std::size_t bytes, std::uint64_t stamp) {
  constexpr bool puts = std::is_same_v<Buffer, const_buffer>;
  if (bytes == 0) return {};
  if (i.cross) {
    if constexpr (puts)
      return neighbour_.put(i.address + offset, local, bytes, stamp);
    else
      return neighbour_.get(i.address + offset, local, bytes, *parts_.own);
  }
  std::byte* base = imports_.base(i);
  if (!base) return make_error_code(errc::out_of_resources);  // ends the link, and frames do it
  if constexpr (puts)
    copy_out(base + offset, local, bytes);
  else
    copy_in(base + offset, local, bytes);
  return {};
}

backend::started shm_memory::put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> from,
                                 backend::cookie id) {
  if (closed_ || !ended_.prepare()) return backend::started::no_room;
  return ended_.made(id, move(key, offset, from, access::write));
}

backend::started shm_memory::get(backend::direct_key key, std::uint64_t offset, std::span<const mutable_buffer> into,
                                 backend::cookie id) {
  if (closed_ || !ended_.prepare()) return backend::started::no_room;
  return ended_.made(id, move(key, offset, into, access::read));
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
