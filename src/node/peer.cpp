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

bool peer::connected() const noexcept { return of(s_).up.load(std::memory_order_relaxed); }

bool operator==(const peer& a, const peer& b) noexcept { return a.s_ == b.s_; }

}  // namespace kfx
