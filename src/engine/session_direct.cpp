// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// One-sided transfers: which ops use them, how their pieces go out, and what happens to them when a link is lost.
///
/// A put takes no number. It is settled when its op is (all puts placed) or, where the link places puts before later
/// frames, when the peer saw a later frame. What is not settled when a link dies is repeated as framed writes: where
/// the log has it, or, where frames of its lane waited for it anyway, behind the log.

#include <algorithm>
#include <array>

#include "engine/partition.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"

namespace kfx::engine {

using detail::op_state;
using detail::verb;

namespace {
thread_local std::array<const_buffer, limits::fragments> from_scratch;
thread_local std::array<mutable_buffer, limits::fragments> into_scratch;
}  // namespace

/// Whether this op goes by one-sided transfers; `held`: it must wait before that can be said or done.
bool session::choose_direct(lane_queue& q, op_state& o, bool& held) {
  backend::remote_memory* memory = settings.direct ? link_->direct() : nullptr;
  if (o.options & opt_direct) {
    held = o.options & opt_direct_wait;
    return true;
  }
  if (!memory || (o.options & opt_framed) || (o.options & opt_started)) return false;
  if ((o.options & opt_durable) || ((o.options & opt_write8) && !memory->caps().atomic8)) return false;
  const bool hinted = o.direct != 0 && o.epoch == key_epoch_;
  if (!hinted) {
    if (o.options & (opt_offer | opt_payload)) return false;
    direct_key* k = direct_keys_.find(o.key);
    if (!k) {
      ask_direct_key(o.key);
      held = true;
      return false;
    }
    if (k->state == direct_key::asking) held = true;
    if (k->state != direct_key::usable) return false;
    o.direct = k->key;
    o.epoch = key_epoch_;
  }
  if (memory->caps().selective && !memory->takes(o.direct, o.length, o.options & opt_write8)) return false;
  // Never mixed with framed transfers of this lane, and a get not ahead of puts the link does not order.
  const bool get_behind_puts = o.kind == verb::read && q.direct_running != 0 && !memory->caps().placed_before_frames;
  if (q.framed_running != 0 || get_behind_puts) {
    held = true;
    return false;
  }
  o.options |= opt_direct;
  if (o.kind == verb::read && (o.options & opt_credit)) {
    o.options &= ~opt_expect;
    return_credit(o);
  } else if (o.kind == verb::read) {
    o.options &= ~opt_expect;
  }
  running(q, o, q.direct_running);
  return true;
}

void session::ask_direct_key(std::uint64_t key) {
  direct_keys_.insert(key, {});
  op_state* r = home->make_op(verb::resolve, false);
  if (!r) return;
  r->owner = this;
  r->key = key;
  r->options |= opt_answer | opt_expect;  // it needs no credit: one a region
  ++live_ops_;
  enqueue(*r);
}

void session::resolve_answered(op_state& r, std::error_code error, std::uint64_t key) {
  if (direct_key* k = direct_keys_.find(key)) {
    if (!error && r.direct != 0 && r.epoch != key_epoch_) {  // answered over a link that is no more: ask again
      direct_keys_.erase(key);
    } else {
      k->state = !error && r.direct != 0 ? direct_key::usable : direct_key::none;
      k->key = r.direct;
    }
  }
  wake_all();
}

/// The owner's side of `resolve`.
bool session::act_resolve(landing& l) {
  const std::uint64_t key = l.head.a;
  backend::remote_memory* memory = settings.direct && link_ ? link_->direct() : nullptr;
  memory::keyed* k = home->keys.find(key);
  backend::direct_key answer_key = 0;
  if (memory && k && k->region) {
    if (backend::direct_key* had = shared_keys_.find(key)) {
      answer_key = *had;
    } else if (auto shared = memory->share({&k->region->memory, 1}, k->region->rights, backend::sharing::lasting)) {
      answer_key = *shared;
      shared_keys_.insert(key, *shared);
    }
  }
  answer(l.head.index(), l.head.lane, {}, 0, false, std::uint64_t{key_epoch_} << 32 | answer_key);
  return true;
}

/// Lets the peer access an op's memory one-sidedly: an offer, or the payload of a message. 0: it cannot.
std::uint32_t session::share_direct(op_state& o, access rights) {
  withdraw_direct(o);
  backend::remote_memory* memory = settings.direct && link_ ? link_->direct() : nullptr;
  if (!memory || o.fragments == 0 || o.fragments > memory->caps().max_export_fragments) return 0;
  for (std::size_t i = 0; i < o.fragments; ++i)
    into_scratch[i] = {const_cast<std::byte*>(o.list[i].data()), o.list[i].size()};
  const auto key = memory->share({into_scratch.data(), o.fragments}, rights, backend::sharing::once);
  if (!key) return 0;
  o.direct = *key;
  o.epoch = key_epoch_;
  o.options |= opt_shared;
  return *key;
}

/// What an offer's token says about one-sided access.
void session::share_offer(op_state& o, remote_region::fields& f) {
  if (o.stage != stage_wire) return;
  f.direct = share_direct(o, static_cast<access>(o.imm));
  f.epoch = key_epoch_;
}

void session::withdraw_direct(op_state& o) {
  if (!(o.options & opt_shared)) return;
  o.options &= ~opt_shared;
  if (link_ && link_->direct() && o.epoch == key_epoch_) link_->direct()->withdraw(o.direct);
}

session::emitted session::emit_direct(lane_queue& q, op_state& o) {
  backend::remote_memory& memory = *link_->direct();
  const backend::memory_caps& caps = memory.caps();
  const std::uint64_t left = o.length - o.moved;
  std::uint64_t take = std::min(left, one_sided_piece(caps));
  std::size_t n = slice_fragments(o, o.moved, take, caps.max_fragments);
  take = sliced_bytes(n);
  const backend::cookie c = o.id;
  if (take != 0) {
    backend::started begun;
    if (o.kind == verb::write) {
      begun = memory.put(o.direct, o.offset + o.moved, {from_scratch.data(), n}, c);
      if (begun == backend::started::under_way) {
        const int flags = (o.options & opt_offer ? wire::offer : 0) | (o.options & opt_write8 ? wire::atomic8 : 0);
        (caps.placed_before_frames ? log_ : puts_)
            .push({&o, o.moved, static_cast<std::uint32_t>(take), wire::type::write, static_cast<std::uint8_t>(flags),
                   false});
        replay_at_ += caps.placed_before_frames;
        ++o.unacked;
      }
    } else {
      for (std::size_t i = 0; i < n; ++i)
        into_scratch[i] = {const_cast<std::byte*>(from_scratch[i].data()), from_scratch[i].size()};
      begun = memory.get(o.direct, o.offset + o.moved, {into_scratch.data(), n}, c);
    }
    if (begun == backend::started::no_room) return emitted::blocked;
    o.options |= opt_started;
    o.moved += take;
    if (begun == backend::started::under_way) {
      ++o.lent;
      home->make_dirty(*this);
    }
  }
  if (o.moved < o.length) return emitted::more;
  if (o.lent == 0) {
    o.options |= opt_settled;
    o.bytes = o.length;
  }
  return direct_issued(q, o);
}

/// All pieces are out: what closes the op?
session::emitted session::direct_issued(lane_queue& q, op_state& o) {
  const bool tail = (o.options & opt_notify) || (o.options & opt_offer);
  if (!tail) {
    if (o.options & opt_settled) not_running(o);
    return emitted::all;
  }
  o.options |= opt_tail;
  const bool ordered = o.kind == verb::write && link_->direct()->caps().placed_before_frames;
  if (ordered || (o.options & opt_settled)) return emit_tail(q, o);
  o.options |= opt_direct_wait;
  return hold(q, false);
}

session::emitted session::emit_tail(lane_queue& q, op_state& o) {
  if (o.options & opt_direct_wait) return hold(q, false);
  const bool told = o.options & opt_notify;
  const auto type = told ? wire::type::notify : wire::type::offer_done;
  std::uint8_t flags = o.options & opt_offer ? wire::offer : 0;
  if (o.options & opt_last) flags |= wire::closes;
  if (!log({&o, 0, 0, type, flags, true})) return emitted::blocked;
  if (o.options & opt_settled) not_running(o);
  return emitted::all;
}

void session::on_direct(backend::cookie c, std::error_code error) {
  op_state* o = lender(c);
  if (!o || o->lent == 0) return;
  --o->lent;
  if (o->stage >= stage_quieting) return;
  if (error) {
    const bool refused = error == errc::access_denied || error == errc::out_of_bounds || error == errc::stale_region ||
                         error == errc::misaligned;
    if (refused)
      finish(*o, error);
    else
      doom(error);  // the op is repeated over the next link
    return;
  }
  if (o->lent != 0 || o->moved < o->length) return;
  backend::remote_memory& memory = *link_->direct();
  if (o->kind == verb::write && !memory.caps().placed_before_frames && !(o->options & opt_flushing)) {
    o->options |= opt_flushing;
    if (memory.flush(c)) {
      ++o->lent;
      home->make_dirty(*this);
      return;
    }
    doom(make_error_code(errc::out_of_resources));
    return;
  }
  direct_settled(*o, {});
}

/// Every put is placed, or the get is here.
void session::direct_settled(op_state& o, std::error_code) {
  o.options = (o.options | opt_settled) & ~opt_direct_wait;
  if (o.kind == verb::read || o.kind == verb::write) o.bytes = o.length;
  lane_queue& q = queue(o.lane, o.options & opt_answer);
  if (o.options & opt_tail) {
    if (o.stage == stage_queued)
      wake(q);
    else
      not_running(o);
  } else {
    not_running(o);
    if (o.stage == stage_wire) finish(o, {});
  }
  trim_log();
}

/// The link is gone, and with it every key and every put under way.
void session::direct_lost() {
  direct_keys_ = {};
  shared_keys_ = {};
  const auto forget = [](op_state& o) {
    o.lent = 0;
    o.options &= ~opt_shared;
  };
  each_op(forget);
}

/// Moves the puts that are to be repeated behind the log, and forgets the rest.
void session::repeat_puts() {
  std::vector<tx_entry> over;
  while (!puts_.empty()) {
    const tx_entry e = puts_.pop();
    if (to_repeat(*e.op))
      log_.push(e);
    else
      over.push_back(e);
  }
  for (const tx_entry& e : over) acked(*e.op);
}

/// Before another link: unsettled puts become framed writes where they stand in the log; unsettled gets start anew.
void session::puts_to_frames() {
  repeat_puts();
  for (std::size_t i = log_.size(); i-- > 0;) {
    tx_entry& e = log_.at(i);
    if (e.numbered) continue;
    const bool final_piece = e.offset + e.length == e.op->length && !(e.op->options & opt_tail);
    if (final_piece) e.flags |= wire::last;
    // The closing frame says how many bytes it was: the pieces are counted once.
    if (e.op->options & opt_tail) e.flags &= static_cast<std::uint8_t>(~wire::offer);
  }
  std::vector<op_state*> gets;
  each_op([&](op_state& o) {
    if (!(o.options & opt_direct) || (o.options & opt_settled) || o.stage >= stage_quieting) return;
    not_running(o);
    o.options = (o.options & ~(opt_direct | opt_direct_wait | opt_flushing)) | opt_framed;
    if (o.kind == verb::read)
      gets.push_back(&o);
    else if (o.options & opt_started)
      running(queue(o.lane, false), o, queue(o.lane, false).framed_running);
  });
  for (auto it = gets.rbegin(); it != gets.rend(); ++it) {
    op_state& o = **it;
    if (o.options & opt_listed) list_of(o).remove(o);
    o.moved = 0;
    o.options = (o.options | opt_expect) & ~(opt_started | opt_emitted | opt_tail);
    o.stage = stage_queued;
    queue(o.lane, o.options & opt_answer).push_front(o);
  }
}

/// At most `most` fragments of [offset, offset + length) in from_scratch.
std::size_t session::slice_fragments(const op_state& o, std::uint64_t offset, std::uint64_t length, std::size_t most) {
  std::size_t n = 0;
  most = std::min(most, from_scratch.size());
  for (std::size_t i = 0; i < o.fragments && length > 0 && n < most; ++i) {
    const const_buffer& f = o.list[i];
    if (offset >= f.size()) {
      offset -= f.size();
      continue;
    }
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(f.size() - offset, length));
    from_scratch[n++] = f.subspan(static_cast<std::size_t>(offset), take);
    length -= take;
    offset = 0;
  }
  return n;
}

std::uint64_t session::sliced_bytes(std::size_t n) noexcept {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < n; ++i) bytes += from_scratch[i].size();
  return bytes;
}

/// The owner takes memory back: when this returns nothing of this session touches it.
void session::region_gone(std::uint64_t key) {
  if (bulk_active_ && bulk_.key == key && bulk_.region) {
    link_->divert();
    bulk_.diverted = true;
    bulk_.region = nullptr;
    bulk_.error = make_error_code(errc::stale_region);
  }
  if (backend::direct_key* d = shared_keys_.find(key)) {
    if (link_ && link_->direct()) link_->direct()->withdraw(*d);
    shared_keys_.erase(key);
  }
  std::vector<op_state*> serves;
  each_op([&](op_state& o) {
    if (o.kind == verb::serve && o.key == key && !(o.options & opt_offer) && o.stage < stage_quieting)
      serves.push_back(&o);
  });
  for (op_state* s : serves) refuse_serve(*s, make_error_code(errc::stale_region));
}

}  // namespace kfx::engine
