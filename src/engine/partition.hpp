// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A partition: a set of CPUs with one progress engine. Its sessions, ops and registered keys are touched only by who
/// holds its baton; everything else reaches it through the submission queue. docs/thread-model.md tells the whole.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/mpsc_stack.hpp"
#include "base/timer_wheel.hpp"
#include "engine/baton.hpp"
#include "engine/host.hpp"
#include "engine/pools.hpp"
#include "engine/session.hpp"
#include "memory/key_table.hpp"
#include "memory/region_state.hpp"
#include "numa/plan.hpp"

namespace kfx::engine {

std::int64_t now_ns() noexcept;

/// The partition whose handler this thread runs, or null.
inline constinit thread_local partition* handler_of_thread = nullptr;

struct handler_frame;

class partition final : public std::enable_shared_from_this<partition> {
 public:
  partition(host& h, unsigned number, numa::place where);
  ~partition();
  partition(const partition&) = delete;

  // --- any thread
  /// Hands an op, a cancellation or a command to the engine; runs it here and now when the baton is free.
  /// `wish`: bits to set in the same breath.
  void submit(detail::op_state&, std::uint32_t wish = 0);
  /// The same for an op that nobody else knows yet.
  void submit_fresh(detail::op_state&);
  /// The same for one that is `opt_plain`.
  void submit_plain(detail::op_state&);
  /// A write or read that nobody else knows yet: true, it is done; else nothing happened.
  bool transfer_plainly(detail::op_state&);
  /// An op_state that counts against max_ops when `user`; waits (driving) for room unless in a handler.
  detail::op_state* make_op(detail::verb kind, bool user) {
    // Far from the limit it is enough to count an op when it starts: so many threads do not submit at once.
    constexpr std::size_t near = 256;
    const bool exactly = user && under_way() + near >= max_ops_;
    if (exactly) take_room();
    detail::op_state* o = allocate_op();
    if (!o) {
      if (exactly) waiting_.fetch_sub(1, std::memory_order_relaxed);
      return nullptr;
    }
    o->home = this;
    o->kind = kind;
    if (user) o->options = exactly ? opt_user | opt_waiting : std::uint32_t{opt_user};
    return o;
  }
  /// Hands back a message whose holder said what its answer is.
  void submit_message(detail::op_state&);
  /// Runs `f` with the baton held.
  template <class F>
  auto with_baton(F f) {
    struct guard {
      partition& p;
      explicit guard(partition& q) : p(q) { p.baton_.lock(); }
      ~guard() { p.leave(); }
    } g(*this);
    drain();
    return f();
  }
  /// Handlers are ready to run.
  bool work_ready() const noexcept { return work_ready_.load(); }
  /// One round of frames and, with `handlers`, one of handlers. What happened.
  std::size_t poll(bool handlers);
  /// Waits for an op, moving frames meanwhile. False: `until` came first.
  bool wait_for(detail::op_state&, std::int64_t until);
  /// Waits for an op that was asked to end; allowed in handlers.
  void wait_quiet(detail::op_state&);
  /// Has `home` run the handler of an op that is done, if that partition still lives.
  static bool post_handler(partition* home, detail::op_state&);
  /// Calls `f` if that partition still lives, and keeps it alive meanwhile.
  static bool with_living(partition* p, const std::function<void(partition&)>& f);
  /// Resumes a coroutine on the executor of an op that is just ending (baton held).
  static void resume_on(detail::op_state&, void* coroutine);
  /// A sentence about an op that is under way or failed.
  static std::string explain_op(const detail::op_state&);
  void retire_from_lookup();
  /// Sleeps until something may have happened, at most until then (steady ns), and not at all when `reason(what)`
  /// holds: what somebody makes true before `wake()`.
  using wake_reason = bool (*)(const void* what) noexcept;
  void sleep(std::int64_t until, wake_reason reason = nullptr, const void* what = nullptr);
  /// A thread of the program begins or ends to move frames until told otherwise.
  void enter_run() noexcept { runners_.fetch_add(1); }
  void leave_run() noexcept { runners_.fetch_sub(1); }
  /// Ends a sleep.
  void wake();
  void wake_sleeper() {
    if (sleeping_.load(std::memory_order_relaxed) != 0) wake();
  }
  /// Lets epoll_fd() signal what is to be polled; false: something is already.
  bool arm();
  int epoll_fd() const noexcept { return epoll_; }
  unsigned number() const noexcept { return number_; }
  const numa::place& place() const noexcept { return place_; }
  host& owner() noexcept { return host_; }

  // --- threads (partition_run.cpp)
  void start_threads();
  void stop_threads();
  std::size_t threads();
  /// Called every few milliseconds while handlers run: a handler that blocks loses its engine thread's role.
  /// False: nobody runs handlers.
  bool watch();
  /// Control thread, progress::caller: frames only, so that keepalive and deadlines work while the program is busy.
  void nudge();
  void tick(std::int64_t now);

  // --- baton held
  void add_session(const std::shared_ptr<session>&);
  void remove_session(session&);
  const std::vector<std::shared_ptr<session>>& sessions() const noexcept { return sessions_; }
  void make_hot(session&);
  void make_dirty(session& s) {
    if (s.dirty) return;
    s.dirty = true;
    dirty_.push_back(&s);
  }
  /// If no other one is dirty: else the next flush finds it so, which does no harm.
  void make_clean(session& s) {
    if (dirty_.size() != 1 || !s.dirty || !s.hot) return;
    dirty_.clear();
    s.dirty = false;
  }
  bool watch_link(session&);  ///< its descriptor joins the set to sleep on
  void unwatch_link(session&);
  void ready_strand(strand& s) {
    s.ready = true;
    s.next = nullptr;
    (ready_last_ ? ready_last_->next : ready_first_) = &s;
    ready_last_ = &s;
    work_ready_.store(true, std::memory_order_relaxed);
  }
  void ready_op(detail::op_state&);  ///< its on_done is to run
  /// An op ended; others may have waited for it.
  void after_done(op_id id, bool ok) {
    if (!after_waiters_.empty()) wake_waiters_of(id, ok);
  }
  /// Its result stands; `also`: bits to set in the same breath. The bits before.
  std::uint32_t publish(detail::op_state&, std::uint32_t also = 0);
  void tell(detail::op_state&, std::uint32_t who);
  void publish_and_free(detail::op_state&);  ///< its success stands, and the wire is through with it
  void free_engine_part(detail::op_state&);  ///< neither wire nor session refers to it any more
  void wake_waiters_of(op_id, bool ok);
  void forget_waiter(detail::op_state&);
  void end_waiters(session&, std::error_code, bool all);
  template <class F>
  void each_waiter(session& s, F f) {
    for (detail::op_state* o : after_waiters_)
      if (o->owner == &s) f(*o);
  }
  void wait_after(detail::op_state&);  ///< an op with `.after`: started when that one ended
  void go_on_after(detail::op_state&, bool ok);
  void set_timer(detail::op_state&, std::int64_t expiry);
  void clear_timer(detail::op_state&);
  void stop_sessions();
  void revoke_key(std::uint64_t key);
  memory::key_table<memory::keyed> keys;

 private:
  friend class session;
  struct engine_thread {
    std::thread thread;
    std::atomic<std::uint64_t> serial{0};  ///< odd: it runs a handler
  };

  void take_room();
  /// One that starts meanwhile is counted twice rather than not at all: it leaves `waiting_` last.
  std::size_t under_way() const noexcept {
    const std::size_t waiting = waiting_.load(std::memory_order_acquire);
    return waiting + outstanding_.load(std::memory_order_relaxed);
  }
  void push(detail::op_state&);
  void start(detail::op_state&);
  void submitted(bool busy);
  void release(bool restless = false) {
    if (nobody_sleeps() && !restless) {
      baton_.unlock();
      // Whoever takes the baton now takes what was submitted meanwhile as well.
      if (submissions_.empty() || !baton_.try_lock()) return;
      drain();
      restless = settle_down();
    }
    release_and_wake(restless);
  }
  bool nobody_sleeps() const noexcept {
    return sleeping_.load(std::memory_order_relaxed) == 0 && !napping_.load(std::memory_order_relaxed);
  }
  void release_and_wake(bool restless);
  /// For somebody who does not come back soon. If the engine's own thread sleeps, nobody else would send what is ready
  /// or look at links that a poll disarmed.
  void leave() { release(settle_down()); }
  /// Sends what is ready and, for one that sleeps, arms what was polled. True: a link is left that must be polled.
  bool settle_down() {
    flush_dirty();
    return sleeping_.load(std::memory_order_relaxed) != 0 && arm_for_sleeper();
  }
  bool arm_for_sleeper();
  void drain();
  void dispatch(detail::op_state&);
  static void tell_elsewhere(op_id, bool ok);
  std::size_t one_round();
  void begin_round();
  std::size_t look(bool handlers);
  void end_round(std::size_t frames);
  bool comes_soon();
  std::size_t run_ready();
  bool run_one(std::int64_t& now, bool only);
  void handler_begins() noexcept;
  void handler_ends() noexcept;
  std::uint32_t in_handlers() const noexcept { return static_cast<std::uint32_t>(handlers_.load()); }
  void run_strand(strand&, detail::op_state* chain, bool lone);
  void run_lone(detail::op_state&);
  /// For the handler of a message that comes alone to be next, nothing else may wait for one.
  bool takes_alone(const strand& s) const noexcept {
    return alone_ == s.owner && !lone_ && !ready_first_ && !done_first_ && !s.head && !s.running && !s.slow;
  }
  void finish_dropped(handler_frame&);
  bool answers_at_once();
  void finish_dropped_elsewhere();
  bool dropped_meanwhile();
  void handle(strand&, detail::op_state* chain);
  detail::op_state* next_done();
  strand* next_strand(detail::op_state*& chain);
  void flush_dirty() {
    if (!dirty_.empty()) flush_all_dirty();
  }
  /// `polled`: the thread that polls returns to its program, which may have an answer at hand.
  void flush_all_dirty(bool polled = false);
  void leave_polled();
  void leave_unsent();
  void find_active(int timeout_ms);
  void look_around();
  void became_ready(std::uint64_t tag);
  bool cool(session&);
  void drop_hot(std::size_t i);
  void cool_all();
  void forget_strands(session&);
  void forget_left();
  void hand_back();
  bool prepare_sleep(std::int64_t& until, wake_reason reason = nullptr, const void* what = nullptr);
  void expire(std::int64_t now);
  void block_on(detail::op_state&, std::int64_t until);
  void nap();
  std::shared_ptr<detail::region_state> region_of(std::uint64_t key);
  void leader_loop(engine_thread&);
  void standby(engine_thread&);
  void add_thread();

  static constexpr std::uint64_t doorbell_tag = ~std::uint64_t{0};  ///< among the slots of sessions in the epoll set

  host& host_;
  const unsigned number_;
  const numa::place place_;
  const std::size_t max_ops_;
  baton baton_;
  base::mpsc_stack<detail::op_state, &detail::op_state::next> submissions_;
  std::atomic<std::uint32_t> outstanding_{0};  ///< users' ops; changed with the baton
  std::atomic<std::uint32_t> waiting_{0};      ///< of them, those that are about to start (opt_waiting)

  std::vector<std::shared_ptr<session>> sessions_;
  std::vector<std::shared_ptr<session>> leaving_;  ///< removed while handlers of theirs run
  std::vector<session*> slots_;                    ///< by session::slot, for descriptors that become ready
  std::vector<session*> hot_;
  std::vector<session*> dirty_;
  std::vector<session*> again_;
  std::atomic<bool> left_unsent_{false};  ///< acks wait for what goes with them
  unsigned deferred_ = 0;
  std::uint64_t transfers_ = 0;  ///< that were over at once since the last look around, long ones as several
  std::atomic<bool> armed_{false};
  base::timer_wheel wheel_;
  std::vector<detail::op_state*> after_waiters_;
  std::uint64_t looks_ = 0;  ///< at the links in use; what is due next, counted in them:
  std::uint64_t look_around_at_ = 0;
  std::uint32_t look_around_ = 32;
  std::int64_t looked_around_ = 0;
  std::uint64_t expire_at_ = 0;

  handler_frame* frames_ = nullptr;   ///< of handlers that run
  session* alone_ = nullptr;          ///< of which one message is wanted, to be run at once
  detail::op_state* lone_ = nullptr;  ///< that message
  strand* ready_first_ = nullptr;
  strand* ready_last_ = nullptr;
  detail::timer_links* done_first_ = nullptr;
  detail::timer_links* done_last_ = nullptr;
  std::atomic<bool> work_ready_{false};  ///< a strand or a completion is ready; set with the baton, read without

  int epoll_ = -1;
  unsigned watched_ = 0;  ///< links in that set
  int doorbell_ = -1;
  std::atomic<int> sleeping_{0};      ///< a thread in epoll_wait, or a program's loop on epoll_fd(): at most one
  std::atomic<bool> exposed_{false};  ///< a program sleeps on epoll_fd() as it likes: every link stays in that set
  std::atomic<int> runners_{0};       ///< threads in node::run()
  std::atomic<bool> napping_{false};  ///< the leader leaves the links to waiting threads for a moment
  std::atomic<int> drivers_{0};       ///< threads that wait in complete() and move frames
  std::atomic<std::int64_t> planned_wake_{0};

  // threads
  std::mutex threads_mutex_;
  std::condition_variable standby_wake_;
  std::vector<std::unique_ptr<engine_thread>> threads_;
  std::atomic<engine_thread*> leader_{nullptr};
  std::atomic<bool> stopping_{false};
  /// Low half: how many run; high half: how many began or ended. Changed with the baton.
  std::atomic<std::uint64_t> handlers_{0};
  std::int64_t burst_cost_ = 0;  ///< ns, smoothed: what sending what a few handlers asked for takes
  bool slow_callbacks_ = false;  ///< the last completion that ran in a burst took long
  std::uint64_t watched_serial_ = 0;
  bool threaded_ = false;
};

}  // namespace kfx::engine
