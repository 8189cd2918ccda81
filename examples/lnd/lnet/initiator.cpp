// SPDX-License-Identifier: BSD-2-Clause
// PUT and GET of this host, and how any message leaves.
#include <algorithm>
#include <cerrno>

#include "core.hpp"

namespace lnet {

msg* core::make_message() {
  messages_.enter();
  const std::uint64_t now = messages_.count();
  auto most = most_messages_.load(std::memory_order_relaxed);
  while (now > most && !most_messages_.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
  return new msg(*this);
}

void core::free_message(msg* m) {
  delete m;
  messages_.leave();
}

/// From now on.
void core::limit_try(msg& m) {
  const auto whole = std::chrono::duration_cast<clock::duration>(options_.transaction_timeout);
  m.deadline = std::min(m.give_up, about_now() + whole / (options_.retry_count + 1));
}

void core::limit(msg& m) {
  m.give_up = about_now() + options_.transaction_timeout;
  limit_try(m);
}

int core::begin(md_handle d, msg& m, bool expects_answer) {
  limit(m);
  m.hdr.src_pid = options_.pid;
  m.hdr.dest_pid = m.what.initiator.pid;
  m.destination = m.what.initiator.nid;
  m.hdr.portal = m.what.portal;
  m.hdr.match_bits = m.what.match_bits;
  m.what.type = event_type::send;
  return things.begin(d, m, expects_answer, incarnation_);
}

int core::put(nid self, md_handle d, ack_request ack, process_id target, unsigned portal, std::uint64_t match_bits,
              std::size_t offset, std::uint64_t hdr_data) {
  if (closing()) return -ESHUTDOWN;
  if (portal >= portal_count || offset > ~std::uint32_t{0}) return -EINVAL;
  msg* const m = make_message();
  m->hdr.type = msg_type::put;
  m->hdr.offset = static_cast<std::uint32_t>(offset);
  m->hdr.hdr_data = m->what.hdr_data = hdr_data;
  m->what.initiator = target;
  m->what.portal = portal;
  m->what.match_bits = match_bits;
  m->wanted = self;
  if (const int rc = begin(d, *m, ack == ack_request::ack)) {
    free_message(m);
    return rc;
  }
  m->payload = slice(m->memory->what.memory, 0, m->memory->length);
  m->length = m->memory->length;
  m->hdr.payload_length = static_cast<std::uint32_t>(m->length);
  return send_or_cancel(*m);
}

int core::get(nid self, md_handle d, process_id target, unsigned portal, std::uint64_t match_bits, std::size_t offset,
              reach r, bool once) {
  if (closing()) return -ESHUTDOWN;
  if (portal >= portal_count || offset > ~std::uint32_t{0}) return -EINVAL;
  msg* const m = make_message();
  m->hdr.type = msg_type::get;
  m->hdr.offset = static_cast<std::uint32_t>(offset);
  m->what.initiator = target;
  m->what.portal = portal;
  m->what.match_bits = match_bits;
  m->wanted = self;
  m->exact = r == reach::exactly;
  m->once = once;
  if (const int rc = begin(d, *m, true)) {
    free_message(m);
    return rc;
  }
  m->hdr.length = static_cast<std::uint32_t>(m->memory->length);
  return send_or_cancel(*m);
}

int core::send_or_cancel(msg& m) {
  const int rc = send(m);
  if (rc == 0) return 0;
  things.deliver(things.cancel(m));
  free_message(&m);
  return rc;
}

/// -EHOSTUNREACH: there is no way, and the message is the caller's still.
int core::send(msg& m) {
  switch (paths_->post(m)) {
    case paths::way::none:
      return -EHOSTUNREACH;
    case paths::way::waits:
      break;
    case paths::way::go:
      transmit(m);
  }
  return 0;
}

/// Its NI's calls were entered for it.
void core::transmit(msg& m) {
  local_ni& n = *m.over;
  // Another driver has no use for the cookie.
  void* const cookie = m.from == &n ? m.cookie : nullptr;
  if (const int rc = n.driver->lnd_send(n, cookie, m)) finalize(m, rc < 0 ? rc : -EIO);
  n.calls.leave();
}

/// An ACK or a REPLY.
void core::send_answer(msg& m) {
  limit(m);
  if (send(m) == 0) return;
  m.status = -EHOSTUNREACH;
  conclude(m);
}

void core::try_again(msg& m) {
  paths_->count_resend(m);
  ++m.tries;
  m.failed_ni = m.over;
  m.failed_peer = m.peer;
  limit_try(m);
  if (send(m) != 0) conclude(m);
}

}  // namespace lnet
