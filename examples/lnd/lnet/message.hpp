// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A message as LNet has it, behind what drivers see of it.

#include <ctime>

#include "host.hpp"

namespace lnet {

/// To a few milliseconds, which is all that limits of seconds need, at a tenth of the price.
inline clock::time_point about_now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return clock::time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

struct md;
struct local_ni;
struct peer_ni;

struct msg final : message {
  explicit msg(core& c) noexcept : owner(&c) {}

  core* owner;
  msg* next = nullptr;   ///< in the one queue that it is in
  md* memory = nullptr;  ///< holds a reference to it
  event what{};          ///< what its MD's owner is told, but for status and `unlinked`
  int status = 0;        ///< as finalized

  local_ni* over = nullptr;  ///< it goes or came over
  peer_ni* peer = nullptr;   ///< to or from
  void* cookie = nullptr;    ///< of what it is, or answers
  local_ni* from = nullptr;  ///< whose cookie that is
  nid wanted = nid::any();   ///< the NI that its user insists on
  nid destination{};         ///< as its user said; hdr has the peer's NI that was chosen
  bool exact = false;        ///< to no other NI of that peer
  bool once = false;         ///< not tried again
  bool sending = false;      ///< waits for credits, or is the driver's by lnd_send
  bool ni_credit = false, peer_credit = false;
  bool wants_ack = false;
  unsigned tries = 0;
  clock::time_point give_up{};  ///< no try begins after that
  const local_ni* failed_ni = nullptr;
  const peer_ni* failed_peer = nullptr;

  /// A GET that the driver answers by itself, and the REPLY it made for it. Guarded by the core's lock for pairs.
  bool paired = false;
  msg* partner = nullptr;
  bool parked = false;  ///< finalized; what becomes of it depends on the partner
};

/// First in, first out; owns nothing.
class msg_queue {
 public:
  bool empty() const noexcept { return !first_; }
  void push(msg& m) noexcept {
    m.next = nullptr;
    (first_ ? last_->next : first_) = &m;
    last_ = &m;
  }
  msg* pop() noexcept {
    msg* m = first_;
    if (m) first_ = m->next;
    return m;
  }
  /// Moves those to another queue, in order; `which` is asked once for each.
  template <class Predicate>
  void move_if(Predicate which, msg_queue& to) {
    msg_queue kept;
    while (msg* m = pop()) (which(*m) ? to : kept).push(*m);
    *this = kept;
  }

 private:
  msg* first_ = nullptr;
  msg* last_ = nullptr;
};

}  // namespace lnet
