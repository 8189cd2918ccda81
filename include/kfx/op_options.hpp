// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What can be asked of one operation.

#include <optional>

#include "kfx/types.hpp"

namespace kfx {

/// When an op must have ended: a point in time, or a duration from the call on. Default: none (then
/// `options::limit` without progress by the peer's engine ends it).
class deadline {
 public:
  constexpr deadline() = default;
  constexpr deadline(clock::time_point t) : at_(t) {}
  template <class Rep, class Period>
  deadline(std::chrono::duration<Rep, Period> d) : at_(clock::now() + std::chrono::duration_cast<clock::duration>(d)) {}
  constexpr bool set() const noexcept { return at_ != clock::time_point::max(); }
  constexpr clock::time_point at() const noexcept { return at_; }

 private:
  clock::time_point at_ = clock::time_point::max();
};

/// Options of every verb; each names the verbs it applies to and is ignored by none: elsewhere it is an error
/// (`bad_option`).
struct op_options {
  bool durable = false;                   ///< write: complete once the target's persistence domain has it
  std::optional<std::uint64_t> notify{};  ///< write: tell the target's on_notify, once, after the data is visible
  kfx::deadline deadline{};               ///< all: end by then
  kfx::lane lane = default_lane;          ///< all: the stream of order it belongs to
  op_id after = 0;                        ///< all: start only after that op of this node took effect; one it no longer
                                          ///< knows (a process remembers the last 4096 failures) counts as a success
  mutable_buffers reply{};                ///< send: wait for the reply and place it here (header, then payload)
  bool last = true;                       ///< write, read on an offer: false announces further pieces
  bool write8 = false;                    ///< write: 8 aligned bytes that are never seen torn
};

}  // namespace kfx
