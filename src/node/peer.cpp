// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/peer.hpp"

#include "engine/partition.hpp"
#include "engine/session.hpp"

namespace kfx {
namespace {

engine::session& of(const std::shared_ptr<detail::peer_state>& s) { return static_cast<engine::session&>(*s); }

}  // namespace

std::string peer::uri() const {
  engine::session& s = of(s_);
  return s.home->with_baton([&] { return s.uri; });
}

std::string peer::explain() const {
  engine::session& s = of(s_);
  return s.home->with_baton([&] { return s.explain(); });
}

void peer::close(std::error_code why) const {
  engine::session& s = of(s_);
  s.home->with_baton([&] { s.close(why ? why : make_error_code(errc::cancelled)); });
}

void peer::cancel(op_id id) const noexcept {
  engine::session& s = of(s_);
  s.home->with_baton([&] { s.cancel_by_id(id); });
}

std::uint64_t peer::tag() const noexcept { return of(s_).tag.load(std::memory_order_relaxed); }
void peer::set_tag(std::uint64_t t) const noexcept { of(s_).tag.store(t, std::memory_order_relaxed); }

bool peer::connected() const noexcept { return of(s_).up.load(std::memory_order_relaxed); }

bool operator==(const peer& a, const peer& b) noexcept { return a.s_ == b.s_; }

}  // namespace kfx
