// SPDX-License-Identifier: BSD-2-Clause
#include "service.hpp"

#include <algorithm>
#include <cerrno>
#include <random>

namespace lnet::selftest {

namespace {

constexpr std::size_t most_jobs = 16384;  // requests at a time

std::chrono::milliseconds patience_of(const head& h) {
  return std::chrono::milliseconds(std::clamp<std::uint32_t>(h.patience_ms, 100, 3'600'000));
}

void flip(std::span<std::byte> m, std::size_t at) { m[std::min(at, m.size() - 1)] ^= std::byte{1}; }

}  // namespace

/// One request: maybe its memory, then the reply.
class service::job final : public operation {
 public:
  explicit job(service& s) : operation(s.endpoint_), service_(s) {}

  head asked;
  process_id from;
  ping_body ping;
  brw_request brw;

  void begin() noexcept {
    phase_ = phase::new_one;
    arm(clock::now() + patience_of(asked));
    wake_here();
  }

  /// The pool has a buffer for it. Any thread.
  void hand(buffer& b) noexcept {
    buffer_.store(&b);
    wake();
  }

 private:
  enum class phase { new_one, waiting, moving, replying, over };

  void proceed() noexcept override;
  void open() noexcept;
  void move() noexcept;
  void moved() noexcept;
  void reply(int status, const brw_reply&) noexcept;
  void end() noexcept;
  fragment extent() const noexcept { return buffer_.load()->memory.bytes().subspan(brw.offset, brw.length); }
  void prepare_source() noexcept;

  service& service_;
  phase phase_ = phase::over;
  std::atomic<buffer*> buffer_{nullptr};
  window bulk_, reply_;
  bool corrupted_ = false;
  int start_status_ = 0;
  std::array<std::byte, small_message> message_{};
};

void service::job::proceed() noexcept {
  switch (phase_) {
    case phase::new_one:
      return open();
    case phase::waiting:
      if (buffer_.load()) move();
      return;
    case phase::moving:
      if (quiet()) return moved();
      if (troubled()) withdraw(bulk_);
      return;
    case phase::replying:
      if (quiet()) return end();
      if (troubled()) withdraw(reply_);
      return;
    case phase::over:
      return;
  }
}

void service::job::open() noexcept {
  if (asked.kind == kind::ping) return reply(0, {});
  phase_ = phase::waiting;
  int status = 0;
  buffer* const b = service_.take(*this, brw.direction, status);
  if (status != 0) return reply(status, {});
  if (!b) return;
  buffer_.store(b);
  move();
}

/// Once filled it is not written again, for nobody else writes it.
void service::job::prepare_source() noexcept {
  buffer& b = *buffer_.load();
  const bool good =
      brw.check == check::none || (b.made_for == brw.check && b.offset == brw.offset &&
                                   (brw.check == check::full ? b.filled >= brw.length : b.filled == brw.length));
  if (good) return;
  fill(extent(), brw.check, b.seed);
  b.made_for = brw.check;
  b.offset = brw.offset;
  b.filled = brw.length;
}

void service::job::move() noexcept {
  phase_ = phase::moving;
  corrupted_ = service_.to_be_corrupted();
  bulk_ = window{};
  if (brw.direction == operation_kind::read) {
    prepare_source();
    if (corrupted_) flip(extent(), service_.options_.corrupt_at);
    start_status_ = send(bulk_, extent(), from, answer_portal, bulk_bits(asked.rpc));
  } else {
    start_status_ = fetch(bulk_, extent(), from, answer_portal, bulk_bits(asked.rpc));
  }
  if (start_status_ != 0 && quiet()) moved();
}

void service::job::moved() noexcept {
  brw_reply r;
  int status = start_status_ != 0 ? start_status_ : bulk_.status;
  if (status == 0 && late() && !bulk_.done) status = -ETIMEDOUT;
  if (status == 0 && bulk_.moved != brw.length) status = -EMSGSIZE;
  buffer& b = *buffer_.load();
  const bool read = brw.direction == operation_kind::read;
  if (read) {
    r.seed = b.seed;
    if (corrupted_) flip(extent(), service_.options_.corrupt_at);
  } else if (status == 0) {
    if (corrupted_) flip(extent(), service_.options_.corrupt_at);
    if (const auto wrong = verify(extent(), brw.check, brw.seed)) r.wrong_at = static_cast<std::uint32_t>(*wrong);
    if (brw.check != check::none) spoil(extent(), b.round++);
  }
  if (status == 0) {
    r.moved = brw.length;
    (read ? service_.counters_.bytes_out_served : service_.counters_.bytes_in_served).add(brw.length);
  }
  buffer_.store(nullptr);
  service_.give(b, brw.direction);
  reply(status, r);
}

void service::job::reply(int status, const brw_reply& r) noexcept {
  phase_ = phase::replying;
  const head h{.kind = asked.kind, .reply = true, .rpc = asked.rpc, .session = asked.session, .status = status};
  const std::size_t length = asked.kind == kind::ping ? encode(h, ping, message_) : encode(h, r, message_);
  reply_ = window{};
  arm(clock::now() + patience_of(asked));
  if (send(reply_, std::span(message_).first(length), from, answer_portal, reply_bits(asked.rpc)) != 0 && quiet())
    end();
}

void service::job::end() noexcept {
  if (reply_.status != 0 || !reply_.done) service_.counters_.dropped.add();
  phase_ = phase::over;
  settle();
  service_.done(*this);
}

service::service(endpoint& e, node_counters& c, service_options o)
    : endpoint_(e),
      counters_(c),
      options_(o),
      portal_(e, {.portal = test_portal, .largest = small_message, .buffer = std::size_t{64} << 10, .count = 8},
              [this](const process_id& from, std::span<const std::byte> bytes) { arrived(from, bytes); }) {}

service::~service() = default;

void service::arrived(const process_id& from, std::span<const std::byte> bytes) {
  const auto p = parse(bytes);
  if (!p || p->head.reply || (p->head.kind != kind::ping && p->head.kind != kind::brw)) return counters_.dropped.add();
  const auto ping = p->head.kind == kind::ping ? parse_body<ping_body>(p->body) : ping_body{};
  const auto brw = p->head.kind == kind::brw ? parse_body<brw_request>(p->body) : brw_request{};
  job* const j = ping && brw ? idle_job() : nullptr;
  if (!j) return counters_.dropped.add();
  counters_.rpcs_received.add();
  j->asked = p->head;
  j->from = from;
  j->ping = *ping;
  j->brw = *brw;
  j->begin();
}

service::job* service::idle_job() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) {
    if (jobs_.size() == most_jobs) return nullptr;
    return jobs_.emplace_back(std::make_unique<job>(*this)).get();
  }
  job* const j = idle_.back();
  idle_.pop_back();
  return j;
}

void service::done(job& j) noexcept {
  const std::lock_guard lock(mutex_);
  idle_.push_back(&j);
}

service::buffer* service::take(job& j, operation_kind direction, int& status) {
  const std::lock_guard lock(mutex_);
  pool& p = direction == operation_kind::read ? sources_ : sinks_;
  if (!p.free.empty()) {
    buffer* const b = p.free.back();
    p.free.pop_back();
    return b;
  }
  if (p.all.size() == options_.buffers) {
    status = p.waiting.size() < options_.waiting ? 0 : -EBUSY;
    if (status == 0) p.waiting.push_back(&j);
    return nullptr;
  }
  try {
    auto b = std::make_unique<buffer>();
    b->memory = page_buffer(mtu + max_offset);
    b->seed = endpoint_.next_rpc() * 0xbf58476d1ce4e5b9;
    p.free.reserve(p.all.size() + 1);
    return p.all.emplace_back(std::move(b)).get();
  } catch (const std::bad_alloc&) {
    status = -ENOMEM;
    return nullptr;
  }
}

void service::give(buffer& b, operation_kind direction) noexcept {
  job* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    pool& p = direction == operation_kind::read ? sources_ : sinks_;
    if (p.waiting.empty()) {
      p.free.push_back(&b);
    } else {
      next = p.waiting.front();
      p.waiting.pop_front();
    }
  }
  if (next) next->hand(b);
}

bool service::to_be_corrupted() noexcept {
  return options_.corrupt_nth != 0 && bulks_.fetch_add(1) + 1 == options_.corrupt_nth;
}

}  // namespace lnet::selftest
