// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/region.hpp"

#include <utility>

#include "kfx/node.hpp"
#include "memory/region_state.hpp"

namespace kfx {

region::region() = default;
region::region(std::shared_ptr<detail::region_state> s) noexcept : s_(std::move(s)) {}
region::region(region&&) noexcept = default;

region& region::operator=(region&& o) noexcept {
  if (this != &o) {
    region old(std::move(*this));  // revoked at the end of this scope
    s_ = std::move(o.s_);
  }
  return *this;
}

region::~region() {
  if (!s_ || !s_->revoke) return;
  const auto revoke = std::exchange(s_->revoke, nullptr);
  revoke(*s_);
}

mutable_buffer region::memory() const noexcept { return s_ ? s_->memory : mutable_buffer(); }
access region::rights() const noexcept { return s_ ? s_->rights : access::read; }

remote_region region::token() const noexcept {
  if (!s_) return {};
  remote_region::fields f;
  f.key = s_->key;
  f.incarnation = s_->incarnation;
  f.length = s_->memory.size();
  f.flags = static_cast<std::uint16_t>(s_->rights);
  return remote_region(f);
}

}  // namespace kfx
