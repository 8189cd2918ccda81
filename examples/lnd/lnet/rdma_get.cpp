// SPDX-License-Identifier: BSD-2-Clause
// GETs that a driver answers by itself: no REPLY is sent, so it makes one here, and finalizes both. Should the GET have
// failed so that another try may do, neither is told to anybody before both have ended.
#include <cerrno>

#include "core.hpp"

namespace lnet {

message* core::create_reply(local_ni& n, msg& get) {
  if (get.hdr.type != msg_type::get || get.paired) return nullptr;
  msg* const reply = make_message();
  if (!things.take_reply_of(get, *reply)) {
    free_message(reply);
    return nullptr;
  }
  reply->over = &n;
  reply->peer = get.peer;
  reply->what.source = get.hdr.dest_nid;
  reply->hdr.type = msg_type::reply;
  reply->hdr.dest_nid = get.hdr.src_nid;
  reply->hdr.src_nid = get.hdr.dest_nid;
  reply->hdr.dest_pid = get.hdr.src_pid;
  reply->hdr.src_pid = get.hdr.dest_pid;
  reply->hdr.wmd = get.hdr.wmd;
  reply->payload = slice(reply->memory->what.memory, 0, reply->memory->length);
  reply->length = reply->memory->length;
  reply->deadline = get.deadline;
  reply->what.rlength = reply->what.mlength = 0;
  get.partner = reply;
  reply->partner = &get;
  get.paired = reply->paired = true;
  return reply;
}

/// One of the two has ended; what can be said of it, or of both, is.
void core::settle_pair(msg& m, bool again) {
  const bool is_get = m.hdr.type == msg_type::get;
  msg *get = nullptr, *reply = nullptr;
  bool both = false;
  {
    std::lock_guard lock(pairs_mutex_);
    msg* const other = m.partner;
    both = other && other->parked;
    // A REPLY that failed before its GET ended, or a GET that may be tried again: it is too early to tell.
    if (other && !both && (is_get ? again : m.status != 0)) {
      m.parked = true;
      return;
    }
    (is_get ? get : reply) = &m;
    if (both) (is_get ? reply : get) = other;
    if (other) m.partner = other->partner = nullptr;
  }
  if (both && reply->status == 0) get->status = 0;
  const bool retry = both && reply->status != 0 && (is_get ? again : true) && get->status != 0;
  if (retry && !closing() && things.give_reply_back(*get, *reply)) {
    free_message(reply);
    get->paired = get->parked = false;
    return try_again(*get);
  }
  if (get) conclude(*get);
  if (!reply) return;
  if (reply->status == 0) paths_->moved_by_rdma(*reply, reply->what.mlength);
  conclude(*reply);
}

}  // namespace lnet
