// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_exports.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "kfx/error.hpp"

namespace kfx::shm {
namespace {

using namespace std::chrono_literals;
using ticks = std::chrono::steady_clock;

/// An access is over within a tenth of this; a peer that was preempted in the middle of one comes back within it,
/// mostly, and a stopped one does not.
constexpr auto inside_limit = 2000us;
constexpr auto spinning = 50us;
/// A buffer that is shared for one access only is worth a message from here on; less moves as well through the ring.
constexpr std::size_t worth_a_message = 64 * 1024;
constexpr std::uint32_t generations = 0xfffff;

bool writes(access rights) noexcept { return static_cast<unsigned>(rights) & static_cast<unsigned>(access::write); }

/// The memory is the whole of its buffer: a peer that maps the file is given nothing else.
bool whole(mutable_buffer m, const memory::slab_place& place) noexcept {
  return place.offset == 0 && m.size() == place.keep->asked();
}

}  // namespace

export_table::export_table(int socket, page& own, const page& peer, const neighbour& n, bulk way)
    : socket_(socket), own_(&own), peer_(&peer), neighbour_(n), way_(way) {}

result<backend::direct_key> export_table::share(mutable_buffer memory, access rights, backend::sharing how) {
  try {
    if (memory.empty()) return make_error_code(errc::not_supported);
    const bool worth = how == backend::sharing::lasting || memory.size() >= worth_a_message;
    if (worth && (way_ == bulk::best || way_ == bulk::mapped)) {
      auto place = memory::slab_of(memory.data());
      if (place && whole(memory, *place) && place->keep->can_be_handed_out())
        return share_mapped(memory, place->keep, rights);
    }
    const bool crosses = peer_->reaches.load(std::memory_order_acquire) == reach::yes;
    if (crosses && how == backend::sharing::lasting && way_ != bulk::mapped) return share_cross(memory, rights);
    return make_error_code(errc::not_supported);
  } catch (const std::bad_alloc&) {
    return make_error_code(errc::out_of_resources);
  }
}

/// Where that slab's file stands in the list. `most_files`: no place left.
std::size_t export_table::file_of(const memory::slab& s, bool writable, bool& fresh) {
  const auto same = [&](const file& f) { return f.serial == s.serial() && f.writable == writable && !f.lost; };
  const auto unused = [](const file& f) { return f.serial == 0; };
  auto at = std::find_if(files_.begin(), files_.end(), same);
  fresh = at == files_.end();
  if (!fresh) return static_cast<std::size_t>(at - files_.begin());
  at = std::find_if(files_.begin(), files_.end(), unused);
  if (at == files_.end()) {
    if (files_.size() == most_files) return most_files;
    at = files_.emplace(files_.end());
  }
  return static_cast<std::size_t>(at - files_.begin());
}

result<backend::direct_key> export_table::share_mapped(mutable_buffer memory, const std::shared_ptr<memory::slab>& keep,
                                                       access rights) {
  memory::slab& s = *keep;
  std::unique_lock lock(mutex_);
  tell_lost();
  bool fresh;
  if (closed_) return std::make_error_code(std::errc::connection_reset);
  std::size_t at = file_of(s, writes(rights), fresh);
  descriptor weaker;
  if (fresh) {
    // Not under the lock: a slab that is just being separated calls back.
    lock.unlock();
    s.watch(weak_from_this());
    if (!writes(rights) && !(weaker = read_only(s.fd()))) return make_error_code(errc::not_supported);
    lock.lock();
    if (closed_) return std::make_error_code(std::errc::connection_reset);
    at = file_of(s, writes(rights), fresh);
  }
  // Whoever separates it says so first and then asks for the lock: either it is seen here, or the key there.
  if (at == most_files || s.separated()) return make_error_code(errc::not_supported);
  control say;
  say.what = control::mapped;
  say.file = static_cast<std::uint32_t>(at);
  say.rights = static_cast<std::uint32_t>(rights);
  say.length = memory.size();
  say.size = s.size();
  const int give = writes(rights) ? s.fd() : weaker.get();
  const auto key = publish({0, false, at, keep}, say, fresh ? give : -1);
  if (key && fresh) files_[at] = {s.serial(), writes(rights), false};
  return key;
}

result<backend::direct_key> export_table::share_cross(mutable_buffer memory, access rights) {
  std::lock_guard lock(mutex_);
  if (closed_) return std::make_error_code(std::errc::connection_reset);
  control say;
  say.what = control::cross;
  say.rights = static_cast<std::uint32_t>(rights);
  say.length = memory.size();
  say.address = reinterpret_cast<std::uintptr_t>(memory.data());
  return publish({0, true, 0, nullptr}, say, -1);
}

bool export_table::take_slot(std::uint32_t& slot) {
  if (!free_.empty()) {
    slot = free_.front();
    free_.pop_front();
    return true;
  }
  if (entries_.size() == most_keys) return false;
  slot = static_cast<std::uint32_t>(entries_.size());
  generation_.push_back(0);
  entries_.emplace_back();
  return true;
}

/// Gives it a key, makes the key live and tells the peer.
result<backend::direct_key> export_table::publish(entry e, const control& about, int fd) {
  std::uint32_t slot;
  if (!take_slot(slot)) return make_error_code(errc::out_of_resources);
  // The slot that was free for longest, and each of its keys anew: one comes back after some 4,000 million others.
  std::uint32_t& generation = generation_[slot];
  generation = generation % (generations - 1) + 1;
  e.key = generation * static_cast<std::uint32_t>(most_keys) + slot;
  own_->live[slot].store(e.key, std::memory_order_release);
  control say = about;
  say.key = e.key;
  if (!send_control(socket_, say, fd)) {
    // The peer has not listened for a while: what is not heard of is moved by frames.
    own_->live[slot].store(0, std::memory_order_release);
    free_.push_back(slot);
    return make_error_code(errc::not_supported);
  }
  const backend::direct_key key = e.key;
  entries_[slot] = std::move(e);
  return key;
}

bool export_table::is_inside(backend::direct_key key) const noexcept {
  const std::uint64_t stamp = inside(peer_->busy);
  return key_of(stamp) == key && own_->done.load(std::memory_order_acquire) != stamp;
}

bool export_table::leaves_within(backend::direct_key key, std::chrono::microseconds limit) const noexcept {
  const auto begin = ticks::now();
  while (is_inside(key)) {
    const auto waited = ticks::now() - begin;
    if (waited > limit) return false;
    if (waited > spinning) ::sched_yield();
  }
  return true;
}

/// The key is dead and the peer knows, but it may be inside.
void export_table::settle(const entry& e) noexcept {
  if (!is_inside(e.key) || leaves_within(e.key, inside_limit) || neighbour_.ended()) return;
  if (!e.cross && e.slab->separate(peer_->busy.at.load(std::memory_order_relaxed), most_bytes)) return;
  // Between its look at the key and the kernel's first instruction for it: nothing here can stop it there.
  while (!leaves_within(e.key, inside_limit) && !neighbour_.ended()) {
  }
}

void export_table::withdraw(backend::direct_key key) {
  entry gone;
  {
    std::lock_guard lock(mutex_);
    tell_lost();
    const std::uint32_t slot = slot_of(key);
    if (closed_ || key == 0 || slot >= entries_.size() || entries_[slot].key != key) return;
    shut<native_words>(own_->live[slot], 0);
    gone = std::exchange(entries_[slot], {});
    free_.push_back(slot);
  }
  native_words::fence();
  settle(gone);
}

void export_table::file_lost(std::uint64_t serial) noexcept {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  bool shared = false;
  for (file& f : files_)
    if (f.serial == serial) shared = f.lost = some_lost_ = true;
  if (!shared) return;
  for (const entry& e : entries_)
    if (e.key != 0 && e.slab && e.slab->serial() == serial)
      shut<native_words>(own_->live[slot_of(e.key)], live_elsewhere);
  native_words::fence();
  // Who is stopped inside finds afterwards that the key is dead, and that what it did may be nothing.
  for (const entry& e : entries_)
    if (e.key != 0 && e.slab && e.slab->serial() == serial) leaves_within(e.key, inside_limit);
  tell_lost();
}

void export_table::tell_lost() noexcept {
  if (!std::exchange(some_lost_, false)) return;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (!files_[i].lost) continue;
    control say;
    say.what = control::forget;
    say.file = static_cast<std::uint32_t>(i);
    if (send_control(socket_, say, -1))
      files_[i] = {};
    else
      some_lost_ = true;
  }
}

void export_table::close() noexcept {
  std::vector<entry> all;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    for (const entry& e : entries_)
      if (e.key != 0) shut<native_words>(own_->live[slot_of(e.key)], live_elsewhere);
    all.swap(entries_);
  }
  native_words::fence();
  for (const entry& e : all)
    if (e.key != 0) settle(e);
}

}  // namespace kfx::shm
