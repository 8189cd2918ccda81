// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The target's side of writes: checked, landed, told, answered.

#include <algorithm>

#include "engine/partition.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

/// Whether this session's peer may access that memory so, and what it is.
std::error_code session::check(std::uint64_t key, std::uint64_t offset, std::uint64_t length, access want,
                               memory::keyed& what) {
  memory::keyed* k = home->keys.find(key);
  if (!k && memory::offered_elsewhere(key, home->number())) return make_error_code(errc::access_denied);
  if (!k) return make_error_code(errc::stale_region);
  what = *k;
  if (k->region) {
    if (!memory::allows(k->region->rights, want)) return make_error_code(errc::access_denied);
    const std::uint64_t size = k->region->memory.size();
    if (offset > size || length > size - offset) return make_error_code(errc::out_of_bounds);
    return {};
  }
  op_state& o = *k->offer;
  if (o.owner != this) return make_error_code(errc::access_denied);
  if (!(o.imm & static_cast<std::uint64_t>(want))) return make_error_code(errc::access_denied);
  if (offset > o.length || length > o.length - offset) return make_error_code(errc::out_of_bounds);
  return {};
}

void session::prepare_write(landing& l, std::size_t body) {
  const wire::head& h = l.head;
  memory::keyed k;
  l.key = h.a;
  l.error = check(h.a, h.b, body, access::write, k);
  if (!l.error && (h.flags() & wire::durable)) l.error = make_error_code(errc::not_persistent);
  if (!l.error && (h.flags() & wire::offer) && !k.offer) l.error = make_error_code(errc::stale_region);
  if (l.error) return;
  if (k.region) {
    l.region = k.region;
    const const_buffer whole(k.region->memory);
    land_on({&whole, 1}, h.b, body);
  } else {
    l.op = k.offer;
    land_on({k.offer->list, k.offer->fragments}, h.b, body);
  }
  if (h.flags() & wire::atomic8) {
    const bool aligned =
        landing_list_.size() == 1 && body == 8 && reinterpret_cast<std::uintptr_t>(landing_list_[0].data()) % 8 == 0;
    if (!aligned) {
      landing_list_.clear();
      l.error = make_error_code(errc::misaligned);
    }
  }
}

bool session::act_write(landing& l) {
  const wire::head& h = l.head;
  const std::uint32_t op = h.index();
  const bool last = h.flags() & wire::last;
  auto earlier = std::find_if(failed_.begin(), failed_.end(), [&](const earlier_error& e) { return e.op == op; });
  const bool had_failed = earlier != failed_.end();
  std::error_code error = had_failed ? earlier->code : l.error;
  if (last && had_failed) failed_.erase(earlier);
  if (!error && l.op && (h.flags() & wire::offer)) offer_piece(*l.op, h.body_bytes(), h.flags() & wire::closes, {});
  const bool answered = h.flags() & wire::wants_result;
  if (error && !had_failed && !last) failed_.push_back({op, error});
  if (!answered) {
    // The ack of its last frame means success: a failure is said once, ahead of that ack.
    if (error && !had_failed) answer(op, h.lane, error, 0);
    return true;
  }
  if (!last) return true;
  if (!admit()) return false;
  if (error) {
    answer(op, h.lane, error, 0, true);
  } else if (h.flags() & wire::notify) {
    tell(h, h.a, l.ext[1], l.ext[2], l.ext[0]);
  } else {
    answer(op, h.lane, {}, h.body_bytes(), true);
  }
  return true;
}

/// A notification waits for its handler like a message, and its result goes out when the handler was told.
void session::tell(const wire::head& h, std::uint64_t key, std::uint64_t offset, std::uint64_t length,
                   std::uint64_t imm) {
  op_state* n = home->make_op(verb::message, false);
  if (!n) return answer(h.index(), h.lane, make_error_code(errc::out_of_resources), 0, true);
  n->owner = this;
  n->lane = h.lane;
  n->after = h.index();
  n->key = key;
  n->offset = offset;
  n->length = length;
  n->imm = imm;
  n->bytes = length;
  n->options |= opt_notify | opt_credit;
  to_strand(*n);
}

bool session::act_notify(landing& l) {
  const wire::head& h = l.head;
  if (!admit()) return false;
  memory::keyed k;
  const std::error_code e = check(h.a, h.b, l.ext[1], access::write, k);
  if (e) {
    answer(h.index(), h.lane, e, 0, true);
    return true;
  }
  if (k.offer) offer_piece(*k.offer, l.ext[1], h.flags() & wire::closes, {});
  tell(h, h.a, h.b, l.ext[1], l.ext[0]);
  return true;
}

bool session::admit() {
  ++inbound_;
  return inbound_ <= home->owner().settings().credits;
}

/// What is offered to this session's peer under that key.
op_state* session::own_offer(std::uint64_t key) const noexcept {
  const memory::keyed* k = home->keys.find(key);
  return k && k->offer && k->offer->owner == this ? k->offer : nullptr;
}

/// A piece of an offer is done; `last` ends it. Pieces that overlap, or a peer that counts wrong, do not make it
/// longer.
void session::offer_piece(op_state& offer, std::uint64_t bytes, bool last, std::error_code why) {
  offer.bytes += std::min(bytes, offer.length - offer.bytes);
  if (!last) return;
  finish(offer, why);
}

bool session::act_offer_done(landing& l) {
  op_state* o = own_offer(l.head.a);
  if (!o) {
    answer(l.head.index(), l.head.lane, make_error_code(errc::stale_region), 0);  // ahead of the ack: it ended before
    return true;
  }
  offer_piece(*o, l.head.b, l.head.flags() & wire::closes, {});
  return true;
}

bool session::act_reject(landing& l) {
  op_state* o = own_offer(l.head.a);
  if (!o) {
    answer(l.head.index(), l.head.lane, make_error_code(errc::stale_region), 0);
    return true;
  }
  finish(*o, unpack_error(l.head.b));
  return true;
}

}  // namespace kfx::engine
