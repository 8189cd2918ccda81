// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_handshake.hpp"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "backends/shm/shm_place.hpp"
#include "base/asymmetric_fence.hpp"
#include "base/random.hpp"

namespace kfx::shm {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using kfx::backend::failure;
using exchanged = std::variant<std::unique_ptr<kfx::backend::ring_pair>, failure>;

constexpr std::chrono::seconds patience(5);

/// What each side says, with the descriptors of its memory: its ring, and from the connecting side the bell.
struct greeting {
  std::uint32_t magic = 0x6d687366;  // "fshm"
  std::uint32_t version = 1;
  std::uint64_t ring = ring_bytes;
  std::uint64_t pages = 0;   ///< where its ring, and what is in front of it, is in its own memory
  bulk way = bulk::best;     ///< the connecting side's word
  std::uint32_t fences = 0;  ///< 1: before it sleeps it fences for both, and others' fences reach it
};

struct heard {
  greeting said;
  std::array<descriptor, 2> given;
};

/// False: errno.
bool say(const descriptor& socket, greeting g, std::span<const int> give) {
  iovec data{&g, sizeof g};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr m{};
  m.msg_iov = &data;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = CMSG_SPACE(give.size_bytes());
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(give.size_bytes());
  std::memcpy(CMSG_DATA(c), give.data(), give.size_bytes());
  return ::sendmsg(socket.get(), &m, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof g);
}

/// Nothing: `why`.
std::optional<heard> listen_to(const descriptor& socket, std::size_t descriptors, std::string& why) {
  heard h;
  iovec data{&h.said, sizeof h.said};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr m{};
  m.msg_iov = &data;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  const ssize_t n = ::recvmsg(socket.get(), &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  std::size_t got = 0;
  // Also from a message of no bytes, which looks like a hang-up.
  for (cmsghdr* c = n < 0 ? nullptr : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      descriptor d(fd);
      if (got < h.given.size()) h.given[got++] = std::move(d);
    }
  }
  if (n == 0) {
    why = "it hung up during the handshake";
  } else if (n < 0) {
    why = std::strerror(errno);
  } else if (m.msg_flags & MSG_CTRUNC) {
    why = "its memory did not get through: no descriptors left (ulimit -n)";
  } else if (n != sizeof h.said || h.said.magic != greeting().magic) {
    why = "it does not speak kfx's shared-memory handshake";
  } else if (h.said.version != greeting().version) {
    why = "it speaks version " + std::to_string(h.said.version) + " of the handshake, this side version " +
          std::to_string(greeting().version);
  } else if (got != descriptors) {
    why = "it gave " + std::to_string(got) + " descriptors instead of " + std::to_string(descriptors);
  } else {
    return h;
  }
  return {};
}

/// False: nothing came in time.
asio::awaitable<bool> readable(asio::io_context& io, const descriptor& socket) {
  asio::posix::stream_descriptor watched(io, ::dup(socket.get()));
  if (!watched.is_open()) co_return false;
  bool late = false;
  asio::steady_timer timer(io, patience);
  timer.async_wait([&](error_code error) {
    if (error) return;
    late = true;
    watched.cancel(error);
  });
  const auto [error] =
      co_await watched.async_wait(asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
  // A timer that expired already has its handler in the queue: it must run before what it refers to is gone.
  if (timer.cancel() == 0 && !late) co_await asio::post(io, asio::use_awaitable);
  co_return !error;
}

bool sound_ring(std::uint64_t bytes) noexcept {
  return bytes >= least_ring && bytes <= most_ring && (bytes & (bytes - 1)) == 0;
}

struct half_made {
  shm_pair::parts parts;
  shared_pages own;
  std::optional<shared_pages> bell;  ///< the connecting side's
};

/// What this side brings.
bool prepare(half_made& h, std::string& why) {
  auto own = make_shared_pages(ring_offset + ring_bytes, false, why);
  if (!own) return false;
  h.own = std::move(*own);
  // The peer finds it at the address it is told, or has not found this process.
  auto* front = reinterpret_cast<page*>(h.own.pages.data());
  front->nonce = {base::random_u64(), base::random_u64()};
  if (!h.parts.connecting) return true;
  h.bell = make_shared_pages(bell_bytes, true, why);
  return h.bell.has_value();
}

/// What the other side brings.
bool adopt(half_made& h, const heard& peer, std::string& why) {
  if (!sound_ring(peer.said.ring)) {
    why = "its ring has " + std::to_string(peer.said.ring) + " bytes, which is no size for one";
    return false;
  }
  auto pages = map_given(peer.given[0], ring_offset + static_cast<std::size_t>(peer.said.ring), false, why);
  if (!pages) return false;
  h.parts.peer = std::move(*pages);
  h.parts.peer_pages = peer.said.pages;
  h.parts.sleeper_fences = peer.said.fences == 1 && base::join_fences_everywhere();
  if (h.parts.connecting) return true;
  if (peer.said.way > bulk::ring) {
    why = "it wants bulk data moved in a way that is unknown here";
    return false;
  }
  h.parts.way = peer.said.way;
  auto bell = map_given(peer.given[1], bell_bytes, true, why);
  if (!bell) return false;
  h.parts.bell = std::move(*bell);
  return true;
}

bool give(const half_made& h) {
  const std::array<int, 2> fds{h.own.to_give.get(), h.bell ? h.bell->to_give.get() : -1};
  greeting g;
  g.pages = reinterpret_cast<std::uintptr_t>(h.own.pages.data());
  g.way = h.parts.way;
  g.fences = base::join_fences_everywhere() ? 1 : 0;
  return say(h.parts.socket, g, std::span(fds).first(h.bell ? 2 : 1));
}

}  // namespace

asio::awaitable<exchanged> exchange_memory(asio::io_context& io, descriptor socket, std::string name, bool connecting,
                                           bulk way) {
  half_made h;
  h.parts.socket = std::move(socket);
  h.parts.name = std::move(name);
  h.parts.connecting = connecting;
  h.parts.way = way;
  std::string why;
  const auto fail = [&](std::error_code code) { return exchanged(failure{code, "shm " + h.parts.name + ": " + why}); };
  if (!trusted(h.parts.socket, why)) co_return fail(errc::access_denied);
  if (!prepare(h, why)) co_return fail(errc::out_of_resources);
  if (connecting && !give(h)) {
    why = std::string("the handshake cannot be sent: ") + std::strerror(errno);
    co_return fail(errc::unreachable);
  }
  if (!co_await readable(io, h.parts.socket)) {
    why = "the other side said nothing; is it kfx that runs there, and does it run?";
    co_return fail(errc::timed_out);
  }
  const auto peer = listen_to(h.parts.socket, connecting ? 1 : 2, why);
  if (!peer) co_return fail(errc::unreachable);
  if (!adopt(h, *peer, why)) co_return fail(errc::protocol_error);
  if (!connecting && !give(h)) {
    why = std::string("the handshake cannot be sent: ") + std::strerror(errno);
    co_return fail(errc::unreachable);
  }
  h.parts.own = std::move(h.own.pages);
  if (h.bell) h.parts.bell = std::move(h.bell->pages);
  co_return exchanged(std::make_unique<shm_pair>(std::move(h.parts)));
}

}  // namespace kfx::shm
