// SPDX-License-Identifier: BSD-2-Clause
#include "test_run.hpp"

#include <algorithm>
#include <cerrno>

#include "call.hpp"

namespace lnet::selftest {

namespace {

constexpr std::chrono::milliseconds least_pause{50}, longest_pause{1000};

/// Written by one thread at a time, read by any.
class tally {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.store(get() + n, std::memory_order_relaxed); }
  void reset() noexcept { value_.store(0, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace

class test_run::loop final : public call {
 public:
  loop(test_run& t, nid server) : call(t.endpoint_), test_(t), server_(server) {
    if (t.what_.operation == operation_kind::ping) return;
    memory_ = page_buffer(t.what_.offset + t.what_.size);
    seed_ = endpoint_.next_rpc() * 0x94d049bb133111eb;
    if (t.what_.operation == operation_kind::write) fill(bulk(), t.what_.check, seed_);
  }

  void reset() noexcept {
    for (tally* t : {&completed, &failed, &expired, &corrupt}) t->reset();
    left_ = test_.what_.loop;
    resting_ = false;
    pause_ = least_pause;
    over_ = false;
  }

  tally completed, failed, expired, corrupt;

 private:
  void next() noexcept override;
  void ended(const answer&) noexcept override;
  /// False: the answer or the memory is not what it should be.
  bool good(const answer&) noexcept;
  void note(const answer&, bool right) noexcept;
  void ask_again() noexcept;
  bool end_if_due() noexcept;
  void rest() noexcept;
  fragment bulk() const noexcept { return memory_.bytes().subspan(test_.what_.offset); }
  std::size_t write_message(std::uint64_t rpc) noexcept;

  test_run& test_;
  const nid server_;
  page_buffer memory_;
  std::uint64_t seed_ = 0;
  std::uint64_t number_ = 0;
  std::size_t round_ = 0;
  std::uint64_t left_ = 0;
  bool over_ = true;
  bool resting_ = false;
  clock::time_point rest_until_{};
  std::chrono::milliseconds pause_ = least_pause;
  std::array<std::byte, small_message> message_{}, answer_{};
};

void test_run::loop::next() noexcept {
  if (over_ || end_if_due()) return;
  if (resting_) {
    if (clock::now() < rest_until_) return;
    resting_ = false;
  }
  ask_again();
}

bool test_run::loop::end_if_due() noexcept {
  const bool unlimited = test_.what_.loop == 0;
  if (!test_.stopping_.load(std::memory_order_relaxed) && (unlimited || left_ > 0)) return false;
  over_ = true;
  settle();
  test_.one_ended();
  return true;
}

std::size_t test_run::loop::write_message(std::uint64_t rpc) noexcept {
  const test_request& t = test_.what_;
  head h{.kind = kind::ping, .rpc = rpc, .session = test_.session_, .patience_ms = t.rpc_timeout_ms};
  if (t.operation == operation_kind::ping) return encode(h, ping_body{++number_}, message_);
  h.kind = kind::brw;
  const brw_request b{.direction = t.operation, .check = t.check, .length = t.size, .offset = t.offset, .seed = seed_};
  return encode(h, b, message_);
}

void test_run::loop::ask_again() noexcept {
  const test_request& t = test_.what_;
  if (t.loop != 0) --left_;
  question q;
  q.target = {server_, default_pid};
  q.portal = test_portal;
  q.patience = std::chrono::milliseconds(t.rpc_timeout_ms);
  q.rpc = endpoint_.next_rpc();
  q.message = std::span(message_).first(write_message(q.rpc));
  q.answer = answer_;
  if (t.operation != operation_kind::ping) {
    q.bulk = bulk();
    q.bulk_options = t.operation == operation_kind::read ? md_op_put : md_op_get;
  }
  test_.counters_.rpcs_sent.add();
  ask(q);
}

bool test_run::loop::good(const answer& a) noexcept {
  const test_request& t = test_.what_;
  if (t.operation == operation_kind::ping) {
    const auto reply = parse_body<ping_body>(a.body);
    return reply && reply->number == number_;
  }
  const auto reply = parse_body<brw_reply>(a.body);
  if (!reply || reply->moved != t.size || a.moved != t.size || reply->wrong_at != nothing_wrong) return false;
  if (t.operation == operation_kind::write) return true;
  const bool right = !verify(bulk(), t.check, reply->seed);
  if (t.check != check::none) spoil(bulk(), round_++);
  return right;
}

void test_run::loop::note(const answer& a, bool right) noexcept {
  node_counters& c = test_.counters_;
  if (a.status == 0 && right) {
    completed.add();
    c.rpcs_completed.add();
    if (test_.what_.operation == operation_kind::read) c.bytes_in_asked.add(a.moved);
    if (test_.what_.operation == operation_kind::write) c.bytes_out_asked.add(a.moved);
    return;
  }
  failed.add();
  c.errors.add();
  if (a.expired) {
    expired.add();
    c.expired.add();
  }
  if (a.status == 0) {
    corrupt.add();
    (test_.what_.operation == operation_kind::ping ? c.ping_errors : c.brw_errors).add();
  }
}

void test_run::loop::ended(const answer& a) noexcept {
  note(a, a.status == 0 && good(a));
  if (end_if_due()) return;
  // What is wrong in the bytes is no reason to wait; that nobody answers is.
  if (a.status != 0) return rest();
  pause_ = least_pause;
  ask_again();
}

void test_run::loop::rest() noexcept {
  resting_ = true;
  rest_until_ = clock::now() + pause_;
  pause_ = std::min(2 * pause_, longest_pause);
  arm(rest_until_);
}

test_run::test_run(endpoint& e, node_counters& c, test_request what)
    : endpoint_(e), counters_(c), what_(std::move(what)) {
  loops_.reserve(what_.servers.size() * what_.concurrency);
  for (std::uint32_t i = 0; i < what_.concurrency; ++i) {
    for (const nid& server : what_.servers) loops_.push_back(std::make_unique<loop>(*this, server));
  }
}

test_run::~test_run() = default;

bool test_run::start(const session_id& session) {
  if (running() || !idle()) return false;
  session_ = session;
  stopping_.store(false);
  for (const auto& l : loops_) l->reset();
  started_.store(clock::now());
  active_.store(static_cast<std::uint32_t>(loops_.size()));
  for (const auto& l : loops_) l->wake();
  return true;
}

void test_run::stop() noexcept {
  stopping_.store(true);
  for (const auto& l : loops_) l->wake();
}

void test_run::one_ended() noexcept {
  ended_.store(clock::now());  // the last one's counts
  active_.fetch_sub(1);
}

bool test_run::idle() noexcept {
  return std::all_of(loops_.begin(), loops_.end(), [](const auto& l) { return l->idle(); });
}

test_result test_run::result() const {
  test_result r{.test = what_.test, .active = active_.load()};
  for (const auto& l : loops_) {
    r.completed += l->completed.get();
    r.failed += l->failed.get();
    r.expired += l->expired.get();
    r.corrupt += l->corrupt.get();
  }
  if (what_.operation != operation_kind::ping) r.bytes = r.completed * what_.size;
  const clock::time_point started = started_.load();
  if (started != clock::time_point{}) {
    const auto end = r.active ? clock::now() : ended_.load();
    r.elapsed_us =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(end - started).count());
  }
  return r;
}

}  // namespace lnet::selftest
