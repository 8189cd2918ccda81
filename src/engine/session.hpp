// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A session: what two nodes know of each other's ops, over as many links as it takes. Everything here is guarded by
/// the home partition's baton unless said otherwise.
///
/// **Frames.** Those from `wire::type::write` on are numbered by their order. The receiver counts what it has acted
/// on (`rx_taken_`) and says so in every frame; the sender keeps how to rebuild what is not acknowledged (`log_`). A
/// new link begins with both counts, and each side repeats what the other has not seen: so every frame is acted on
/// exactly once, whatever happened to the links.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/lane_queue.hpp"
#include "engine/open_messages.hpp"
#include "engine/tx_log.hpp"
#include "kfx/backend/link.hpp"
#include "kfx/detail/op_state.hpp"
#include "kfx/error.hpp"
#include "memory/key_table.hpp"
#include "memory/region_state.hpp"
#include "wire/frame.hpp"

namespace kfx::engine {

class partition;

/// A status as it stands in result and reject frames.
std::error_code unpack_error(std::uint64_t packed) noexcept;
std::uint64_t pack_error(std::error_code) noexcept;

/// Who is on the other side, as far as it is known.
struct identity {
  std::string node_id;  ///< of this life of the peer; "" until the first handshake
  std::uint64_t incarnation = 0;
  std::string name;  ///< stable across its lives; "" when it has none
  std::vector<std::string> addresses;
};

/// Bodies up to this size are copied into the link's window; larger ones are lent. Measured on TCP: a copied KiB
/// costs less than a gather entry and its bookkeeping.
inline constexpr std::size_t copy_limit = 1024;

/// Knobs a URI query may set for one peer.
struct session_settings {
  std::chrono::nanoseconds limit{}, keepalive{}, idle{}, retention{}, backoff{};
  std::size_t eager = 0, slice = 0;
  bool direct = true;
};

/// Arrived messages and notifications of one lane that wait for their handler, in order.
struct strand {
  detail::op_state* head = nullptr;
  detail::op_state* tail = nullptr;
  session* owner = nullptr;
  strand* next = nullptr;  ///< in the partition's ready list
  bool ready = false;      ///< in that list
  bool running = false;    ///< a thread runs its handlers
  bool slow = false;       ///< the last time in a burst, they took long
};

}  // namespace kfx::engine

namespace kfx::detail {
/// What a kfx::peer holds.
struct peer_state {
  virtual ~peer_state() = default;
};
}  // namespace kfx::detail

namespace kfx::engine {

class session final : public detail::peer_state,
                      public backend::frame_sink,
                      public std::enable_shared_from_this<session> {
 public:
  session(std::shared_ptr<partition> home, std::string uri, const session_settings& settings);
  ~session() override;

  // --- identity; changed by the connection manager with the baton held
  std::shared_ptr<partition> home;
  std::string uri;       ///< what the user named it, or where it came from
  std::uint64_t id = 0;  ///< of the session, the same on both sides; 0 before the first handshake
  identity remote;
  session_settings settings;
  bool dialable = true;      ///< false: it has no address of its own, wait for it
  std::string chosen;        ///< how the transport was chosen, for explain()
  std::string last_failure;  ///< why the last attempt to connect failed, or the link ended
  std::string lost_link;     ///< the last one that ended, and why
  std::error_code last_failure_code{};
  unsigned attempts = 0;              ///< to connect, since there was a link
  void* cm = nullptr;                 ///< the connection manager's own
  std::atomic<std::uint64_t> tag{0};  ///< the program's

  // --- the connection manager's side (baton held)
  bool linked() const noexcept { return link_ != nullptr; }
  /// Ends the old link for good (nothing it still holds is acted on) and says what was acted on.
  std::uint32_t fence();
  /// A link whose handshake is over. `peer_taken`: what the peer acted on. Repeats what it has not seen.
  /// `epoch`: of this link, agreed by both sides, later than every earlier one.
  void attach(std::unique_ptr<backend::link> l, std::uint32_t peer_taken, std::uint32_t credits, std::uint16_t epoch);
  std::uint16_t next_epoch() const noexcept { return static_cast<std::uint16_t>(epoch_ == 0xffff ? 1 : epoch_ + 1); }
  /// Whether `peer_taken` can be true.
  bool plausible(std::uint32_t peer_taken) const noexcept;
  /// Gives the session's state up: ops that may have reached the peer end with `code`; with `all`, those that did
  /// not as well. Numbers start anew.
  void reset(std::error_code code, bool all);
  /// The program has done with it: the peer is told, and all ops end.
  void close(std::error_code why);
  void cancel_by_id(op_id);
  /// Nothing under way, in either direction.
  bool quiet() const noexcept;
  /// It needs a link: for its own ops, or because the peer, who may have no way to connect, perhaps has some.
  bool wanting() const noexcept { return live_ops_ != 0 || id != 0; }
  std::uint32_t taken() const noexcept { return rx_taken_; }
  std::int64_t last_heard() const noexcept { return last_heard_; }
  std::int64_t last_used() const noexcept { return last_used_; }
  std::int64_t unlinked_since() const noexcept { return unlinked_since_; }
  /// Time passes: keepalive, the limit without progress, the idle drop. Nanoseconds, steady.
  void tick(std::int64_t now);
  /// Ends the link because of an error that a link or the peer caused.
  void drop_link(std::error_code why);

  // --- for the partition
  void start(detail::op_state&);  ///< a fresh op: to its lane
  bool start_plainly(detail::op_state&, bool at_once);
  bool transfer_plainly(detail::op_state&);
  void cancel(detail::op_state&, std::error_code why);
  std::error_code out_of_time() const noexcept;
  void share_offer(detail::op_state&, remote_region::fields&);
  void enqueue_started(detail::op_state&);     ///< what it came after took effect
  void hand_over(detail::op_state& message) {  ///< to its handler
    message.stage = stage_wire;
    wire_.push_back(message);
  }
  void finish_message(detail::op_state&);  ///< a message's handler side said what to answer
  void pump();                             ///< emits what may be emitted
  /// Something is to leave, an ack if nothing else.
  bool has_to_send() const noexcept {
    return unsent_ || blocked_ || pong_owed_ || rx_taken_ != rx_told_ || !nothing_waits();
  }
  void send_all();            ///< the same, with acks that are owed, and has the link send it
  bool holds_ack() noexcept;  ///< nothing but an ack is to go, and something that takes it along will, most likely
  std::error_code flush();
  /// Once a burst, when something came.
  void see_time() noexcept {
    if (!timed_) ask_time();
  }
  void ask_time() noexcept;
  void see_when_used() noexcept;
  bool unsent() const noexcept { return unsent_; }
  /// What came over its link; with `alone`, a message that is likely to be all there is ends the look.
  unsigned poll(unsigned budget, bool alone);
  /// Something came, seen by a look at memory alone.
  bool sees_something() const noexcept { return link_ && link_->waiting(); }
  void take_late_ack() {
    if (has_late_ack_) [[unlikely]]
      process_late_ack();
  }
  /// What the handler of a message that came alone asked for, its ack if nothing else, leaves, unless anything is in
  /// its way.
  void answer_at_once();
  void poll_over();                     ///< after a burst: acks that are owed
  void settle_acks();                   ///< before sleeping: acks that nobody waits for
  void region_gone(std::uint64_t key);  ///< nothing of it may be touched after the return
  void end_all(std::error_code why);    ///< the node stops
  backend::link* link() const noexcept { return link_.get(); }
  bool busy() const noexcept { return requests_ != 0; }
  bool blocked() const noexcept { return (blocked_ || ack_owed_ || pong_owed_) && link_; }
  /// Acks are wanted that a message still holds back.
  bool ack_waits() const noexcept { return ack_urgent_ && !open_.empty(); }
  /// A handler of that lane returned: messages it kept do not hold back acks.
  void handler_returned(kfx::lane l) {
    if (!open_.empty()) leave_kept_behind(l);
  }
  /// There is something to emit, and room as far as is known.
  bool pending() const noexcept { return link_ && !blocked_ && (round_first_ || !express_.empty()); }
  bool dirty = false;  ///< in the partition's flush list
  bool hot = false;    ///< polled each round
  unsigned cold_polls = 0;
  unsigned running_strands = 0;  ///< with a handler of theirs under way
  unsigned busy_polls = 0;       ///< since its descriptor joined the set to sleep on
  std::uint32_t slot = 0;        ///< in the partition's table
  int watched_fd = -1;
  bool watched_writable = false;

  std::string explain() const;
  /// How it stands with the connection.
  std::string connection() const;
  /// The end of a sentence that begins with what failed, and at whom.
  std::string verdict(const detail::op_state&, std::error_code) const;
  std::atomic<bool> stopped{false};  ///< any thread
  std::atomic<bool> up{false};       ///< any thread

  // --- backend::frame_sink
  bool on_frame(const_buffer head, const_buffer body) override;
  std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t body_size) override;
  bool on_bulk_done() override;
  void on_sent(backend::cookie) override;
  void on_quiet(backend::cookie) override;
  void on_direct(backend::cookie, std::error_code) override;

 private:
  friend class partition;
  enum class emitted { all, more, held, blocked };
  struct landing {
    wire::head head{};
    std::uint64_t ext[wire::max_ext]{};
    detail::op_state* op = nullptr;  ///< the op whose memory is written, or null
    std::uint64_t key = 0;           ///< the region's, or 0
    detail::region_state* region = nullptr;
    std::uint64_t offset = 0;
    std::error_code error{};
    bool broken = false;    ///< the peer broke the protocol
    bool diverted = false;  ///< the op or region ended while the bytes arrived
  };
  struct direct_key {
    backend::direct_key key = 0;
    enum { asking, usable, none } state = asking;
  };
  struct earlier_error {
    std::uint32_t op;
    std::error_code code;
  };

  // session_pump.cpp: what goes next
  bool replay();
  emitted emit(lane_queue&, detail::op_state&);
  emitted emit_request(lane_queue&, detail::op_state&);
  emitted emit_write(lane_queue&, detail::op_state&);
  static wire::type request_type(detail::verb) noexcept;
  static std::uint8_t read_flags(std::uint32_t options) noexcept;
  emitted emit_slices(detail::op_state&, wire::type, std::uint8_t flags);
  bool emit_express();
  void express(detail::op_state&);
  detail::op_state* make_express(wire::type, std::uint32_t op, kfx::lane);
  void enqueue(detail::op_state&);
  void enqueue_inline(detail::op_state&);
  bool emit_plainly(lane_queue&, detail::op_state&, bool at_once);
  lane_queue& list_of(const detail::op_state&);
  void move_to_wire(detail::op_state&);
  void emitted_whole(detail::op_state&);
  /// Neither repeats nor results nor ops.
  bool nothing_waits() const noexcept {
    const auto some = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
    return (some(round_first_) | some(express_.head) | some(credit_first_) | (replay_at_ ^ log_.size())) == 0;
  }
  lane_queue& queue(kfx::lane lane, bool answers) {
    if (lane == default_lane) [[likely]]
      return answers ? answer0_ : request0_;
    return other_queue(lane, answers);
  }
  lane_queue& other_queue(kfx::lane, bool answers);
  void wake(lane_queue&);
  void wake_all();
  void wake_for_credits();
  bool take_credit(detail::op_state&);
  void return_credit(detail::op_state&);

  // session_build.cpp: frames
  bool build(const tx_entry&);
  bool build_inline(const tx_entry&);
  bool build_empty(const tx_entry&, wire::head&);
  bool build_large_send(detail::op_state&, wire::head&);
  bool put_frame(wire::head h, std::span<const std::uint64_t> ext, std::span<const const_buffer> body,
                 std::uint64_t body_bytes, detail::op_state* owner);
  bool put_small(wire::head h, const_buffer first, const_buffer second);
  std::uint32_t next_ack() const noexcept;
  void told(std::uint32_t ack) noexcept;
  std::byte* space(std::size_t bytes);
  void commit_window();
  bool log(const tx_entry&);
  bool log_inline(const tx_entry&);
  bool send_control(wire::type, std::uint64_t a = 0);
  std::span<const const_buffer> slice_list(const detail::op_state&, std::uint64_t offset, std::uint64_t length,
                                           std::size_t first = 0);
  bool build_write(const tx_entry&, wire::head&);
  bool build_send(const tx_entry&, wire::head&);
  bool build_answer(const tx_entry&, wire::head&);
  bool build_small(const tx_entry&, wire::head&);

  // session_direct.cpp: one-sided transfers
  bool choose_direct(lane_queue&, detail::op_state&, bool& held);
  emitted emit_direct(lane_queue&, detail::op_state&);
  emitted emit_tail(lane_queue&, detail::op_state&);
  void ask_direct_key(std::uint64_t key);
  /// Twice a slice: nobody has to frame it, and each call of a kernel that moves it costs as much as copying 20 KiB.
  std::uint64_t one_sided_piece(const backend::memory_caps& caps) const noexcept {
    return std::min<std::uint64_t>(2 * settings.slice, caps.max_bytes);
  }
  emitted direct_issued(lane_queue&, detail::op_state&);
  static std::size_t slice_fragments(const detail::op_state&, std::uint64_t offset, std::uint64_t length,
                                     std::size_t most);
  static std::uint64_t sliced_bytes(std::size_t fragments) noexcept;
  void direct_settled(detail::op_state&, std::error_code);
  void direct_lost();
  void puts_to_frames();
  std::uint32_t share_direct(detail::op_state&, access);
  void withdraw_direct(detail::op_state&);
  void resolve_answered(detail::op_state&, std::error_code, std::uint64_t key);
  void trim_log();
  void repeat_puts();
  static bool to_repeat(const detail::op_state&) noexcept;
  emitted hold(lane_queue&, bool for_credit);
  void running(lane_queue&, detail::op_state&, std::uint32_t& count);
  void not_running(detail::op_state&);

  // session_end.cpp: results
  void acked(detail::op_state&);
  void settle(detail::op_state&);
  bool nothing_refers_to(const detail::op_state&) const noexcept;
  void end_plainly(detail::op_state&);
  bool is_plainly_over(const detail::op_state&) const noexcept;
  void finish(detail::op_state&, std::error_code why);
  void retire(detail::op_state&);
  bool quiet_memory(detail::op_state&);
  void conclude(detail::op_state&);
  void unwire(detail::op_state&);
  void send_cancel(detail::op_state&);
  void end_serves(detail::op_state& source);
  void refuse_serve(detail::op_state&, std::error_code);
  void skip_seen(std::uint32_t peer_taken);
  std::int64_t credits_out() noexcept;
  void end_link(std::error_code);
  void fetched(const detail::op_state& fetch);
  void settle_payload(detail::op_state& message) noexcept;
  detail::op_state* own_offer(std::uint64_t key) const noexcept;
  std::error_code claim_offer(const detail::op_state&);
  void unclaim_offer(const detail::op_state&) noexcept;
  void doom(std::error_code why) noexcept {
    if (!doomed_) doomed_ = why;
  }
  void end_with_session(detail::op_state&, std::error_code);
  void orphan_messages();
  void drop_strand(strand&);
  bool probe(std::int64_t now, std::int64_t limit);
  void end_stalled(std::int64_t now, std::int64_t limit);
  /// All but messages, whose holders may be at work on them.
  template <class F>
  void each_op(F f) {
    const auto walk = [&f](lane_queue& list) {
      for (detail::op_state* o = list.head; o; o = o->queue_next)
        if (o->kind != detail::verb::message) f(*o);
    };
    walk(wire_);
    walk(express_);
    walk(request0_);
    walk(answer0_);
    for (auto& [key, q] : queues_) walk(*q);
  }
  bool process_ack(std::uint32_t ack) { return ack == tx_acked_ || new_ack(ack); }
  bool new_ack(std::uint32_t ack);
  bool still_wired(const detail::op_state&) const noexcept;
  detail::op_state* lender(backend::cookie) const noexcept;

  // session_rx.cpp, step_*.cpp: what arrived
  landing prepare(const wire::head&, const_buffer head_bytes, std::size_t body);
  bool act(landing&, const_buffer body);
  bool took(const wire::head&);
  bool on_control(const wire::head&);
  bool refuse();
  void prepare_write(landing&, std::size_t body);
  void prepare_answer(landing&, std::size_t body);
  void land_on(std::span<const const_buffer>, std::uint64_t offset, std::size_t bytes);
  bool act_write(landing&);
  bool act_data(landing&);
  bool act_reply(landing&);
  void answered(detail::op_state&, std::error_code);
  bool act_read(landing&);
  bool act_send(const wire::head&, std::uint64_t payload_key, const_buffer body);
  bool act_result(landing&);
  bool act_token(landing&, const_buffer body);
  bool act_open(landing&, const_buffer body);
  bool act_commit(landing&, const_buffer body);
  bool act_reject(landing&);
  bool act_cancel(landing&);
  bool act_resolve(landing&);
  bool act_offer_done(landing&);
  bool act_notify(landing&);
  std::error_code check(std::uint64_t key, std::uint64_t offset, std::uint64_t length, access want, memory::keyed&);
  detail::op_state* own_op(std::uint32_t index, detail::verb) const noexcept;
  void answer(std::uint32_t op, kfx::lane, std::error_code, std::uint64_t bytes, bool credited = false,
              std::uint64_t extra = 0);
  void tell(const wire::head&, std::uint64_t key, std::uint64_t offset, std::uint64_t length, std::uint64_t imm);
  void offer_piece(detail::op_state& offer, std::uint64_t bytes, bool last, std::error_code);
  void to_strand(detail::op_state&);
  bool admit();

  std::unique_ptr<backend::link> link_;
  std::unique_ptr<backend::link> graveyard_;  ///< closed, but perhaps still on the stack
  std::error_code doomed_{};                  ///< drop the link after this burst
  std::uint16_t epoch_ = 0;
  std::uint16_t key_epoch_ = 0;  ///< of the one-sided keys of this link, in tokens and answers
  // outbound
  std::span<std::byte> window_{};
  std::size_t window_used_ = 0;
  std::byte* last_head_ = nullptr;  ///< of the frames in it
  std::size_t alignment_ = 1;       ///< of frames in it: a power of two
  tx_log log_;
  tx_log puts_;                ///< on links that do not order puts before frames: an ack says nothing about these
  std::size_t replay_at_ = 0;  ///< entries of log_ before this are on the link
  std::uint32_t tx_acked_ = 0;
  lane_queue request0_, answer0_;
  std::unordered_map<std::uint32_t, std::unique_ptr<lane_queue>> queues_;
  lane_queue* round_first_ = nullptr;
  lane_queue* round_last_ = nullptr;
  lane_queue wire_;                     ///< emitted requests and answers, offers, messages with their handlers
  lane_queue express_;                  ///< results and cancels: ahead of everything
  lane_queue* credit_first_ = nullptr;  ///< lanes that wait for a credit, in the order they came
  lane_queue* credit_last_ = nullptr;
  std::int64_t credits_ = 0;
  bool blocked_ = false;        ///< the link had no room for what is to go
  bool ack_owed_ = false;       ///< nor for an ack
  std::uint32_t borrowed_ = 0;  ///< data under way out of another op's memory
  std::uint32_t requests_ = 0;  ///< users' requests without a result
  std::uint32_t live_ops_ = 0;  ///< this side's requests without a result, and answers not acknowledged
  // inbound
  std::uint32_t rx_taken_ = 0;
  std::uint32_t rx_told_ = 0;         ///< the last ack that went out
  std::uint32_t errors_waiting_ = 0;  ///< results that must precede the ack of their request and are not emitted yet
  bool mute() const noexcept { return errors_waiting_ != 0 || replay_at_ < log_.size(); }
  open_messages open_;
  /// How far an ack goes: everything before the oldest message that somebody is at work on.
  std::uint32_t ack_value() const noexcept { return open_.empty() ? rx_taken_ : open_.oldest().before; }
  void close_message(detail::op_state&);
  void result_later(detail::op_state&);
  void leave_behind(std::int64_t since);
  void leave_kept_behind(kfx::lane);
  void process_late_ack();
  /// A message that comes alone goes to its handler before the ack that it brought is looked at (ADR 8).
  bool came_alone_ = false;    ///< so did the last one
  bool found_nothing_ = true;  ///< the last look
  bool has_late_ack_ = false;
  std::uint32_t late_ack_ = 0;
  bool ack_urgent_ = false;  ///< the peer's ops wait for the ack
  bool ack_held_ = false;
  std::uint8_t spoke_soon_ = 0;                      ///< how often, of late, a frame followed an ack between two looks
  std::uint64_t acked_at_look_ = ~std::uint64_t{0};  ///< when an ack went alone, or was to go
  void spoke_after_ack() noexcept;
  bool pong_owed_ = false;
  std::uint64_t pong_value_ = 0;
  std::uint32_t inbound_ = 0;  ///< the peer's requests that hold a credit here
  landing bulk_;
  bool bulk_active_ = false;
  bool said_bye_ = false;
  bool closed_by_peer_ = false;
  std::vector<mutable_buffer> landing_list_;
  std::vector<earlier_error> failed_;
  strand strand0_;
  std::unordered_map<kfx::lane, std::unique_ptr<strand>> strands_;
  strand* strand_of(kfx::lane lane) { return lane == default_lane ? &strand0_ : other_strand(lane); }
  strand* other_strand(kfx::lane);
  // direct
  memory::key_table<direct_key> direct_keys_;           ///< of the peer's regions, on this link
  memory::key_table<backend::direct_key> shared_keys_;  ///< of own regions, on this link
  memory::key_table<op_id> closing_offers_;             ///< of the peer, and which op of ours ends each
  // time
  std::int64_t round_now_ = 0;  ///< when the burst under way began, to a few milliseconds
  bool timed_ = false;          ///< that is known
  bool unsent_ = false;         ///< the link was given something since its last flush, or has some left
  std::int64_t last_heard_ = 0;
  std::int64_t last_used_ = 0;
  bool used_ = false;  ///< since the last tick
  std::int64_t unlinked_since_ = 0;
  std::int64_t probed_at_ = 0;
  unsigned probes_ = 0;
};

}  // namespace kfx::engine
