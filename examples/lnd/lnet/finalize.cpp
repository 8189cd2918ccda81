// SPDX-License-Identifier: BSD-2-Clause
// The end of messages.
#include <cerrno>

#include "core.hpp"

namespace lnet {

namespace {

/// A thread that completes messages of a node. What is finalized further down its stack, by drivers and handlers that
/// it calls, it completes itself once it is back: nothing recurses without end.
struct completing {
  const core* of;
  completing* outer;
  msg_queue more;
};
thread_local completing* innermost = nullptr;

}  // namespace

void core::finalize(msg& m, int status) {
  m.status = status;
  for (completing* c = innermost; c; c = c->outer)
    if (c->of == this) return c->more.push(m);
  completing here{this, innermost, {}};
  innermost = &here;
  for (msg* next = &m; next; next = here.more.pop()) complete(*next);
  innermost = here.outer;
}

void core::complete(msg& m) {
  bool again = false;
  if (m.sending) {
    const paths::aftermath after = paths_->sent(m);
    for (msg* const next : after.ready)
      if (next) transmit_if_in_time(*next);
    if (after.dead && m.over->calls.enter()) {
      m.over->driver->lnd_notify_peer_down(*m.over, after.dead->nid);
      m.over->calls.leave();
    }
    again = after.again && !closing();
  } else if (m.status != 0) {
    paths_->failed(m);
  }
  if (m.paired) return settle_pair(m, again);
  if (again && things.still_wanted(m)) return try_again(m);
  conclude(m);
}

void core::transmit_if_in_time(msg& m) {
  if (clock::now() < m.give_up) {
    limit_try(m);
    return transmit(m);
  }
  local_ni& n = *m.over;
  paths_->count_timeouts(1);
  finalize(m, -ETIMEDOUT);
  n.calls.leave();
}

/// Tells its MD's owner, and sends the ACK if there is to be one.
void core::conclude(msg& m) {
  if (m.memory) things.deliver(things.finish(m));
  if (!m.wants_ack || m.status != 0) return free_message(&m);
  m.wants_ack = false;
  header ack;
  ack.type = msg_type::ack;
  ack.src_pid = options_.pid;
  ack.dest_pid = m.hdr.src_pid;
  ack.wmd = m.hdr.wmd;
  ack.match_bits = m.hdr.match_bits;
  ack.length = static_cast<std::uint32_t>(m.what.mlength);
  m.hdr = ack;
  m.payload.clear();
  m.length = 0;
  send_answer(m);
}

}  // namespace lnet
