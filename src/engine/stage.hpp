// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What the engine notes in an op_state: option bits (`options`) and stages (`stage`).

#include <cstdint>

#include "kfx/detail/op_state.hpp"

namespace kfx::engine {

/// op_state::options
enum option : std::uint32_t {
  opt_durable = 1u << 0,
  opt_notify = 1u << 1,
  opt_last = 1u << 2,
  opt_write8 = 1u << 3,
  opt_reply = 1u << 4,           ///< send: a reply is awaited; message: one is owed
  opt_offer = 1u << 5,           ///< the token is an offer's
  opt_payload = 1u << 6,         ///< read: fetches the payload of a message
  opt_direct = 1u << 7,          ///< goes by one-sided transfers
  opt_credit = 1u << 8,          ///< holds a credit of the session (a place at the target)
  opt_expect = 1u << 9,          ///< ends with an answer of the peer, not with the ack of its last frame
  opt_aborted = 1u << 10,        ///< its memory must not be used any more; frames become nops
  opt_eager = 1u << 11,          ///< message or send: the payload travels with it
  opt_list_pooled = 1u << 12,    ///< `list` is a pooled array
  opt_reply_pooled = 1u << 13,   ///< `reply_list` is a pooled array
  opt_emitted = 1u << 14,        ///< its last frame was handed to the link
  opt_listed = 1u << 15,         ///< is in a lane queue
  opt_received = 1u << 16,       ///< message: its payload was asked for
  opt_plain = 1u << 17,          ///< send: one small frame and its ack are all of it; nothing else refers to it
  opt_shared = 1u << 18,         ///< `direct` is a key of ours to withdraw
  opt_started = 1u << 19,        ///< at least one frame or put went out
  opt_tail = 1u << 20,           ///< direct: the closing frame (notify, offer_done) is still to come
  opt_counted = 1u << 21,        ///< counts against options::max_ops
  opt_direct_wait = 1u << 22,    ///< direct: a flush is to complete before it may go on
  opt_user = 1u << 23,           ///< a user's op (has a handle or had one)
  opt_framed = 1u << 24,         ///< goes by frames, whatever the link can do
  opt_header_pooled = 1u << 25,  ///< `header` is a pooled block of header_size bytes
  opt_settled = 1u << 26,        ///< direct: every put is placed, or the get is here
  opt_flushing = 1u << 29,       ///< direct: the flush after its last put was asked for
  opt_running = 1u << 28,        ///< counted in its lane's framed_running or direct_running
  opt_answer = 1u << 27,         ///< goes with the answers of its lane, without a credit
  opt_waiting = 1u << 31,        ///< counts as one that is about to start
  opt_by_ack = 1u << 30,         ///< message: its sender takes the ack for success; result: goes ahead of that ack
};

/// Blocks of memory that hang on an op.
inline constexpr std::uint32_t opt_pooled = opt_header_pooled | opt_list_pooled | opt_reply_pooled;

/// op_state::stage
enum stage : std::uint8_t {
  stage_new,
  stage_waiting,   ///< for the op it comes after
  stage_queued,    ///< in its lane
  stage_express,   ///< in the express list
  stage_strand,    ///< message: waits for its handler
  stage_wire,      ///< emitted (an offer: registered; a message: with its handler); waits
  stage_quieting,  ///< its result is known, its memory not quiet yet
  stage_zombie,    ///< its result stands; the wire is not through with it
};

/// op_state::error_domain of an op that the verb itself found wrong: what is. `moved` is the number that goes with it.
enum refused : std::uint8_t {
  refused_range = 16,    ///< the token's length
  refused_header,        ///< the header's size
  refused_fragments,     ///< how many there are
  refused_name,          ///< the name's size
  refused_alignment,     ///< of offset and length
  refused_write_option,  ///< for another verb
  refused_reply_option,
  refused_last_option,
  refused_last_region,  ///< further pieces announced, of what is no offer
  refused_no_offer      ///< rejected what is none
};

/// `open`: so many bytes of the name stay in the op (op_state::inline_list), for sentences about it.
inline constexpr std::size_t name_kept = sizeof detail::op_state::inline_list;

/// What a message's holder wants done with it (op_state::moved of a message).
enum message_command : std::uint64_t {
  message_kept,
  message_dropped,
  message_rejected,
  message_reply_copied,
  message_replied
};

/// What is known of a message's payload (op_state::reply_fragments of a message). The holder writes it when it asks for
/// the payload, from then on the engine does; `bytes` goes with it.
enum payload_state : std::uint16_t {
  payload_settled,   ///< `bytes` were taken
  payload_fetching,  ///< on their way here by the op whose id `bytes` is; that one's `imm` is the message's id
  payload_failed     ///< `bytes` is the packed error
};

}  // namespace kfx::engine
