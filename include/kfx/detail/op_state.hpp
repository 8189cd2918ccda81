// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The control block of one operation: four cache lines, from a pool, shared by the user's handle and the engine.

#include <atomic>
#include <cstdint>
#include <string>
#include <system_error>

#include "kfx/remote_region.hpp"
#include "kfx/types.hpp"

namespace kfx::engine {
class partition;
class session;
}  // namespace kfx::engine

namespace kfx::detail {

/// What an op_state stands for. The first group is asked for by users, the second answers a peer's request.
enum class verb : std::uint8_t {
  none,
  write,
  read,
  send,
  commit,
  open,
  offer,
  reject,
  message,  ///< an inbound message: kept by the user, then its result
  serve,    ///< data that answers a read
  reply,    ///< data that answers a send
  result,   ///< status that answers anything else
  resolve,  ///< internal request: the direct key of a region
};

/// Bits of op_state::bits.
enum op_bit : std::uint32_t {
  op_done = 1,          ///< the result stands
  op_handler = 2,       ///< on_done is to be run by the executor
  op_waiter = 4,        ///< a thread sleeps on bits
  op_user_gone = 8,     ///< no handle refers to it
  op_engine_gone = 16,  ///< the wire no longer refers to it
  op_cancel = 32,       ///< asked to end
  op_queued = 64,       ///< is in the submission queue, which keeps its memory
  op_fresh = 128,       ///< not seen by the engine yet
  op_inline = 256,      ///< on_done is cheap and never blocks: run it where the op completes
  op_command = 512,     ///< a message was answered, or a handler installed on a finished op
  op_orphan = 1024,     ///< message: its session is gone, its answer goes nowhere
  op_told = 2048,       ///< what it comes after, in another partition, has ended
};

struct timer_links {
  timer_links* next = nullptr;
  timer_links* prev = nullptr;
  std::int64_t expiry = 0;  ///< steady nanoseconds; 0: no timer
};

struct alignas(64) op_state {
  // who
  std::atomic<op_state*> next{nullptr};  ///< submission queue
  std::atomic<std::uint32_t> bits{0};
  std::uint32_t unacked = 0;  ///< its frames in the session's log
  op_id id = 0;               ///< generation << 24 | index
  engine::partition* home = nullptr;
  engine::session* owner = nullptr;
  verb kind = verb::none;
  std::uint8_t stage = 0;  ///< engine: where it stands (engine/stage.hpp)
  kfx::lane lane = 0;
  std::uint16_t fragments = 0;
  std::uint16_t reply_fragments = 0;
  op_state* queue_next = nullptr;  ///< lane queue
  op_state* queue_prev = nullptr;
  // what
  std::uint64_t key = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  ///< bytes to move in all
  std::uint64_t moved = 0;   ///< bytes handed to the link so far
  const std::byte* header = nullptr;
  std::uint32_t header_size = 0;
  std::uint32_t options = 0;  ///< engine: option bits (engine/stage.hpp)
  std::uint64_t imm = 0;
  const const_buffer* list = nullptr;  ///< fragments; inline_list or a pooled array
  // where
  const_buffer inline_list[2]{};
  const const_buffer* reply_list = nullptr;
  const_buffer inline_reply{};
  op_id after = 0;
  // outcome
  timer_links timer;  ///< the deadline; once done, next links the run queue
  std::uint64_t bytes = 0;
  std::int32_t error = 0;         ///< value of the error, 0: success
  std::uint8_t error_domain = 0;  ///< 0 kfx, 1 errno (generic), 2 the application's, more: kfx, and engine::refused
  kfx::method method = kfx::method::none;
  std::uint16_t lent = 0;    ///< engine: bodies and puts that the link holds
  std::uint32_t direct = 0;  ///< engine: key for one-sided access, of the link of this epoch
  std::uint16_t epoch = 0;
  void (*on_done)(op_state*, void*) = nullptr;
  void* on_done_arg = nullptr;

  std::uint32_t index() const noexcept { return static_cast<std::uint32_t>(id & 0xffffff); }
  bool is_done() const noexcept { return bits.load(std::memory_order_acquire) & op_done; }
};
static_assert(sizeof(op_state) <= 256, "the promise of 256 bytes an op");

inline op_state* from_timer(timer_links* t) noexcept {
  return reinterpret_cast<op_state*>(reinterpret_cast<char*>(t) - offsetof(op_state, timer));
}

// What handles do with an op_state; defined in src/engine/op_handle.cpp. Any thread.

/// Asks the engine to end it early, with this code. The result follows, perhaps a success that was faster.
void cancel(op_state&) noexcept;
/// Waits, driving progress, until done or `until`. False: still running. `would_deadlock` on an engine thread
/// leaves it running too.
std::error_code wait(op_state&, clock::time_point until) noexcept;
/// Installs what runs when it is done (at once, if it is). Called at most once. `inline_ok`: see op_inline.
void set_handler(op_state&, void (*f)(op_state*, void*), void* arg, bool inline_ok = false) noexcept;
/// The user's handle lets go; the op goes on.
void release(op_state&) noexcept;
/// What a destructor does: cancel, wait until memory is quiet, release.
void abandon(op_state&) noexcept;
std::error_code error_of(const op_state&) noexcept;
std::string explain(const op_state&);
/// The value of an `open` that succeeded.
remote_region token_of(const op_state&) noexcept;

/// Memory for callbacks, pooled; any thread. Blocks up to 256 bytes come from the pool.
void* closure_allocate(std::size_t bytes);
void closure_free(void* block, std::size_t bytes) noexcept;

}  // namespace kfx::detail
