// SPDX-License-Identifier: BSD-2-Clause
#include "support/sim_memory.hpp"

#include <algorithm>

#include "base/cursor.hpp"
#include "support/faults.hpp"

namespace kfx::test {
namespace {

constexpr std::size_t queue_depth = 64;

std::vector<std::byte> gathered(std::span<const const_buffer> from) {
  std::vector<std::byte> all;
  for (const const_buffer& piece : from) all.insert(all.end(), piece.begin(), piece.end());
  return all;
}

}  // namespace

result<backend::direct_key> sim_memory::share(std::span<const mutable_buffer> memory, access rights, backend::sharing) {
  if (memory.size() > caps_.max_export_fragments) return make_error_code(errc::not_supported);
  return fabric_->share(own_, memory, rights);
}

backend::started sim_memory::put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> from,
                                 backend::cookie id) {
  op o{kind::put, key, offset};
  o.from.assign(from.begin(), from.end());
  o.id = id;
  return start(std::move(o), from.size(), loopback::total(from)) ? backend::started::under_way
                                                                 : backend::started::no_room;
}

backend::started sim_memory::get(backend::direct_key key, std::uint64_t offset, std::span<const mutable_buffer> into,
                                 backend::cookie id) {
  op o{kind::get, key, offset};
  o.into.assign(into.begin(), into.end());
  o.id = id;
  return start(std::move(o), into.size(), loopback::total(into)) ? backend::started::under_way
                                                                 : backend::started::no_room;
}

bool sim_memory::flush(backend::cookie id) {
  op o{kind::flush};
  o.id = id;
  return start(std::move(o), 0, 0);
}

bool sim_memory::start(op o, std::size_t fragments, std::size_t bytes) {
  if (abandoned_ || ops_.size() >= queue_depth) return false;
  if (fragments > caps_.max_fragments || bytes > caps_.max_bytes) {
    ended_.push(o.id, fragments > caps_.max_fragments ? errc::too_many_fragments : errc::out_of_bounds);
    return true;
  }
  o.delay = static_cast<unsigned>(random_() % 6);
  ops_.push_back(std::move(o));
  return true;
}

void sim_memory::advance() {
  if (abandoned_) return;
  const auto now = std::chrono::steady_clock::now();
  for (op& o : ops_)
    if (o.silent && o.lent && (random_() % 3 == 0 || now >= o.give_back)) give_back(o);
  while (!ops_.empty()) {
    if (ops_.front().delay > 0) {
      --ops_.front().delay;
      break;
    }
    carry_out(ops_.front());
    ops_.pop_front();
    if (random_() % 3 == 0) break;
  }
  if (random_() % 4 == 0) fabric_->place_some(peer_, 1 + random_() % 4);
  if (random_() % 8 == 0) sim_fabric::drift(random_);
}

void sim_memory::carry_out(op& o) {
  std::error_code error;
  if (o.what == kind::put)
    error = fabric_->put(peer_, {o.key, o.offset, o.lent ? gathered(o.from) : std::move(o.aside), o.id});
  else if (o.what == kind::get)
    error = fabric_->get(peer_, o.key, o.offset, o.into);
  else if (o.what == kind::flush)
    error = fabric_->flush(peer_, o.id);
  if (!o.silent) ended_.push(o.id, error);
}

/// Ends the use of lent memory ahead of the op's turn: it is finished from a copy, or dropped.
void sim_memory::give_back(op& o) {
  o.lent = false;
  const bool dropped = random_() % 2 == 0;
  if (o.what == kind::put && !dropped) {
    o.aside = gathered(o.from);
    return;
  }
  // Nobody looks at what a quiesced get brought, so its turn does not matter.
  if (o.what == kind::get && !dropped) fabric_->get(peer_, o.key, o.offset, o.into);
  if (o.what == kind::put) ++faults::counts().dropped_puts;
  o.what = kind::nothing;
}

bool sim_memory::quiesce(backend::cookie id) {
  ended_.forget(id);
  for (op& o : ops_) {
    if (o.id != id || o.silent) continue;
    o.silent = true;
    o.lent = o.what != kind::flush;
    o.give_back = std::chrono::steady_clock::now() + quiesce_bound / 2;
  }
  return quiet(id);
}

bool sim_memory::quiet(backend::cookie id) const {
  return std::ranges::none_of(ops_, [&](const op& o) { return o.id == id && o.silent && o.lent; });
}

void sim_memory::abandon() {
  if (abandoned_) return;
  abandoned_ = true;
  // What was not carried out is on its way or lost: who closes does not know.
  for (op& o : ops_) {
    if (o.what != kind::put) continue;
    if (random_() % 2 == 0)
      fabric_->put(peer_, {o.key, o.offset, o.lent ? gathered(o.from) : std::move(o.aside), o.id});
    else
      ++faults::counts().dropped_puts;
  }
  ops_.clear();
  ended_.clear();
  fabric_->abandon(peer_);
}

void sim_memory::close() {
  abandon();
  fabric_->fence(own_);
}

}  // namespace kfx::test
