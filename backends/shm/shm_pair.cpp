// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_pair.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "backends/shm/shm_place.hpp"
#include "base/asymmetric_fence.hpp"

namespace kfx::shm {
namespace {

/// The words are in lines of their own, the connecting end's first.
std::uint32_t* word(const mapping& bell, bool connecting) noexcept {
  return reinterpret_cast<std::uint32_t*>(bell.data() + (connecting ? 0 : 128));
}

}  // namespace

shm_pair::shm_pair(parts p) : parts_(std::move(p)) {
  memory_.out = {parts_.own.data() + ring_offset, parts_.own.size() - ring_offset};
  memory_.out_freed = reinterpret_cast<const std::uint64_t*>(parts_.peer.data());
  memory_.in = {parts_.peer.data() + ring_offset, parts_.peer.size() - ring_offset};
  memory_.in_freed = reinterpret_cast<std::uint64_t*>(parts_.own.data());
  memory_.own_wants = word(parts_.bell, parts_.connecting);
  memory_.peer_wants = word(parts_.bell, !parts_.connecting);
  memory_.sleeper_fences = parts_.sleeper_fences;
  if (parts_.way == bulk::ring) return;
  auto* own = reinterpret_cast<page*>(parts_.own.data());
  const auto* peer = reinterpret_cast<const page*>(parts_.peer.data());
  direct_ =
      std::make_unique<shm_memory>(shm_memory::parts{parts_.socket.get(), own, peer, parts_.peer_pages, parts_.way});
}

/// Both sides joined, or neither relies on the other.
void shm_pair::fence() noexcept {
  if (parts_.sleeper_fences) base::heavy_fence_everywhere();
}

void shm_pair::wake() noexcept {
  const char byte = 0;
  // A full socket is as readable as can be, and a broken one is found by who reads it.
  [[maybe_unused]] const auto sent = ::send(parts_.socket.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool shm_pair::awake() noexcept {
  if (direct_) return direct_->listen();
  // A peer that rings without end is not listened to for ever.
  for (int i = 0; i < 16; ++i) {
    char byte;
    const auto got = ::recv(parts_.socket.get(), &byte, 1, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  }
  return true;
}

void shm_pair::close() noexcept {
  if (!parts_.socket) return;
  if (direct_) direct_->close();
  // A descriptor inherited by a forked child must not keep the connection up.
  ::shutdown(parts_.socket.get(), SHUT_RDWR);
  parts_.socket.reset();
  parts_.own = {};
  parts_.peer = {};
  parts_.bell = {};
  memory_ = {};
}

std::string shm_pair::peer_address() const { return parts_.socket ? peer_of(parts_.socket) : std::string(); }

std::string shm_pair::describe() const {
  const std::string text = "shm " + parts_.name + (parts_.connecting ? " (connecting end)" : " (accepting end)");
  return text + "; " + (direct_ ? direct_->describe() : "bulk data: the ring");
}

}  // namespace kfx::shm
