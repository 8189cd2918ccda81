// SPDX-License-Identifier: BSD-2-Clause
// What comes in.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "core.hpp"

namespace lnet {

int core::parse(local_ni& n, const arrival& a) {
  peer_ni* peer = nullptr;
  nid primary;
  switch (paths_->admit(n, a, peer, primary)) {
    case paths::admission::protocol_error:
      return -EPROTO;
    case paths::admission::waits:
      return 0;
    case paths::admission::dropped:
      n.driver->lnd_recv(n, a.cookie, nullptr, false, {}, a.hdr.payload_length);
      return 0;
    case paths::admission::accepted:
      break;
  }
  const process_id initiator{primary, a.hdr.src_pid};
  if (a.hdr.type == msg_type::ack) {
    parse_ack(n, a, *peer, initiator);
    return 0;
  }
  msg* const m = make_message();
  m->hdr = a.hdr;
  m->over = m->from = &n;
  m->peer = peer;
  m->cookie = a.cookie;
  m->destination = a.from;
  m->what.initiator = initiator;
  m->what.source = a.from;
  m->what.portal = a.hdr.portal;
  m->what.match_bits = a.hdr.match_bits;
  m->what.hdr_data = a.hdr.hdr_data;
  switch (a.hdr.type) {
    case msg_type::put:
      parse_put(m);
      break;
    case msg_type::get:
      parse_get(m, a.rdma);
      break;
    default:
      parse_reply(m);
  }
  return 0;
}

/// Nobody wants it.
void core::discard(msg* m) {
  local_ni& n = *m->over;
  paths_->dropped(n, m->peer, m->hdr);
  n.driver->lnd_recv(n, m->cookie, nullptr, false, {}, m->hdr.payload_length);
  free_message(m);
}

/// Those that had waited at a lazy portal.
void core::discard_all(msg_queue& list) {
  while (msg* const m = list.pop()) {
    local_ni& n = *m->over;
    discard(m);
    n.calls.leave();
  }
}

/// It has its memory.
void core::receive(msg& m, bool delayed) {
  m.payload = slice(m.memory->what.memory, m.what.offset, m.what.mlength);
  m.length = m.what.mlength;
  local_ni& n = *m.over;
  const int rc = n.driver->lnd_recv(n, m.cookie, &m, delayed, m.payload, m.hdr.payload_length);
  if (rc != 0) finalize(m, rc < 0 ? rc : -EIO);
}

void core::parse_put(msg* m) {
  m->what.type = event_type::put;
  m->what.rlength = m->hdr.payload_length;
  m->wants_ack = !m->hdr.wmd.none();
  switch (things.match(*m, false)) {
    case objects::found::taken:
      return receive(*m, false);
    case objects::found::nothing:
      break;
    default:
      return discard(m);
  }
  if (m->over->driver->lnd_eager_recv(*m->over, m->cookie, m->hdr) != 0) return discard(m);
  switch (things.match(*m, true)) {
    case objects::found::taken:
      return receive(*m, true);
    case objects::found::waits:
      return;
    default:
      return discard(m);
  }
}

void core::parse_get(msg* m, bool rdma) {
  m->what.type = event_type::get;
  m->what.rlength = m->hdr.length;
  if (things.match(*m, false) != objects::found::taken) return discard(m);
  header reply;
  reply.type = msg_type::reply;
  reply.dest_nid = m->hdr.src_nid;
  reply.src_nid = m->hdr.dest_nid;
  reply.dest_pid = m->hdr.src_pid;
  reply.src_pid = options_.pid;
  reply.wmd = m->hdr.wmd;
  reply.payload_length = static_cast<std::uint32_t>(m->what.mlength);
  m->hdr = reply;
  m->length = m->what.mlength;
  m->payload = slice(m->memory->what.memory, m->what.offset, m->length);
  local_ni& n = *m->over;
  if (rdma) {
    limit(*m);
    const int rc = n.driver->lnd_recv(n, m->cookie, m, false, {}, m->length);
    if (rc != 0) finalize(*m, rc < 0 ? rc : -EIO);
    return;
  }
  n.driver->lnd_recv(n, m->cookie, nullptr, false, {}, 0);
  send_answer(*m);
}

void core::parse_ack(local_ni& n, const arrival& a, peer_ni& peer, process_id from) {
  notice told;
  const bool awaited = a.hdr.wmd.interface_cookie == incarnation_ &&
                       things.take_ack(a.hdr.wmd.object_cookie, from, a.from, a.hdr.length, told);
  if (!awaited) paths_->dropped(n, &peer, a.hdr);
  // There are no bytes to be placed, nothing to wait for.
  n.driver->lnd_recv(n, a.cookie, nullptr, false, {}, 0);
  things.deliver(std::move(told));
}

void core::parse_reply(msg* m) {
  m->what.rlength = m->hdr.payload_length;
  if (m->hdr.wmd.interface_cookie != incarnation_ || !things.take_reply(m->hdr.wmd.object_cookie, *m, m->what.rlength))
    return discard(m);
  receive(*m, false);
}

int lnet_parse(ni& n, const header& h, nid from, void* cookie, bool rdma_request) {
  return n.owner->parse(static_cast<local_ni&>(n), {h, from, cookie, rdma_request});
}

void lnet_finalize(message& base, int status) {
  msg& m = static_cast<msg&>(base);
  m.owner->finalize(m, status);
}

message* lnet_create_reply_msg(ni& n, message& get) {
  return n.owner->create_reply(static_cast<local_ni&>(n), static_cast<msg&>(get));
}

void lnet_set_reply_msg_len(ni&, message& base, std::size_t length) {
  msg& m = static_cast<msg&>(base);
  m.what.rlength = length;
  m.what.mlength = std::min(length, m.length);
}

void lnet_notify(ni& n, nid peer, bool alive) { n.owner->ways().notify(static_cast<local_ni&>(n), peer, alive); }

unsigned lnet_nid2cpt(const ni& n, nid peer) noexcept { return n.table ? n.table->of_nid(peer, n.cpts) : 0; }

}  // namespace lnet
