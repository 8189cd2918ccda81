// SPDX-License-Identifier: BSD-2-Clause
#include "agent.hpp"

#include <algorithm>
#include <cerrno>

namespace lnet::selftest {

namespace {

constexpr std::size_t most_jobs = 256;  // requests at a time
constexpr std::size_t most_batches = 256, most_tests = 4096;
constexpr std::size_t most_memory = std::size_t{8} << 30;  // of one test

head answer_to(const head& asked, int status) {
  return {.kind = asked.kind,
          .reply = true,
          .rpc = asked.rpc,
          .session = {asked.session.console, asked.session.stamp, 0},
          .status = status};
}

template <class Body>
std::vector<std::byte> reply(const head& asked, int status, const Body& body) {
  std::vector<std::byte> bytes(large_message);
  bytes.resize(encode(answer_to(asked, status), body, bytes));
  return bytes;
}
std::vector<std::byte> reply(const head& asked, int status) { return reply(asked, status, empty_body{}); }

bool of_consoles(const head& h) { return !h.reply && h.kind >= kind::join; }

}  // namespace

/// One request, looked at on a thread of the node, then its reply.
class agent::job final : public operation {
 public:
  explicit job(agent& a) : operation(a.endpoint_), agent_(a) {}

  process_id from;
  std::vector<std::byte> request;

 private:
  void proceed() noexcept override {
    if (!replying_) return begin();
    if (quiet()) return end();
    if (troubled()) withdraw(reply_);
  }

  void begin() noexcept {
    replying_ = true;
    try {
      message_ = agent_.answer(from, request);
    } catch (const std::bad_alloc&) {
      message_.clear();
    }
    reply_ = window{};
    const auto asked = parse(request);
    if (message_.empty() || !asked) return end();
    arm(clock::now() + std::chrono::seconds(30));
    if (send(reply_, message_, from, answer_portal, reply_bits(asked->head.rpc)) != 0 && quiet()) end();
  }

  void end() noexcept {
    if (!reply_.done) agent_.counters_.dropped.add();
    replying_ = false;
    settle();
    agent_.done(*this);
  }

  agent& agent_;
  bool replying_ = false;
  std::vector<std::byte> message_;
  window reply_;
};

agent::agent(endpoint& e, node_counters& c)
    : endpoint_(e),
      counters_(c),
      portal_(e, {.portal = control_portal, .largest = large_message, .buffer = 8 * large_message, .count = 2},
              [this](const process_id& from, std::span<const std::byte> bytes) { arrived(from, bytes); }) {
  e.at_ticks([this](clock::time_point now) { tick(now); });
}

agent::~agent() = default;

void agent::arrived(const process_id& from, std::span<const std::byte> bytes) {
  const auto p = parse(bytes);
  if (!p || !of_consoles(p->head)) return counters_.dropped.add();
  job* j = nullptr;
  {
    const std::lock_guard lock(jobs_mutex_);
    if (!idle_.empty()) {
      j = idle_.back();
      idle_.pop_back();
    } else if (jobs_.size() < most_jobs) {
      idle_.reserve(jobs_.size() + 1);
      j = jobs_.emplace_back(std::make_unique<job>(*this)).get();
    }
  }
  if (!j) return counters_.dropped.add();
  j->from = from;
  j->request.assign(bytes.begin(), bytes.end());
  j->wake();
}

void agent::done(job& j) noexcept {
  const std::lock_guard lock(jobs_mutex_);
  idle_.push_back(&j);
}

std::vector<std::byte> agent::answer(const process_id&, std::span<const std::byte> request) {
  const auto p = parse(request);
  if (!p || !of_consoles(p->head)) return {};
  const std::lock_guard lock(mutex_);
  return decide(*p);
}

std::vector<std::byte> agent::decide(const parsed& p) {
  const head& h = p.head;
  if (h.kind == kind::join) return join(p);
  if (h.kind == kind::status) {
    if (session_ && h.session == session_) heard_ = clock::now();
    return parse_body<empty_body>(p.body) ? reply(h, 0, info()) : reply(h, -EPROTO);
  }
  if (const int status = admit(h)) return reply(h, status);
  try {
    switch (h.kind) {
      case kind::leave:
        return reply(h, leave(p));
      case kind::add_test:
        return reply(h, add_test(p));
      case kind::run_batch:
        return reply(h, run_batch(p));
      case kind::stop_batch:
        return reply(h, stop_batch(p));
      case kind::query_batch:
        return query(p);
      case kind::statistics:
        return reply(h, 0, statistics());
      default:
        return reply(h, -EPROTO);
    }
  } catch (const std::bad_alloc&) {
    return reply(h, -ENOMEM);
  }
}

/// -ESRCH: there is no session; -EPERM: there is another.
int agent::admit(const head& h) {
  if (!session_) return -ESRCH;
  if (h.session != session_) return -EPERM;
  heard_ = clock::now();
  return 0;
}

std::vector<std::byte> agent::join(const parsed& p) {
  const auto body = parse_body<join_request>(p.body);
  if (!body || !p.head.session) return reply(p.head, -EPROTO);
  if (session_ && session_ != p.head.session) {
    if (!body->force) return reply(p.head, -EBUSY, info());
    end_session();
  }
  session_ = p.head.session;
  name_ = body->name;
  timeout_ = std::chrono::seconds(body->timeout_s);
  heard_ = clock::now();
  return reply(p.head, 0, info());
}

int agent::leave(const parsed& p) {
  if (!parse_body<empty_body>(p.body)) return -EPROTO;
  end_session();
  return 0;
}

int agent::add_test(const parsed& p) {
  auto body = parse_body<test_request>(p.body);
  if (!body) return -EPROTO;
  auto& batch = batches_[body->batch];
  if (batches_.size() > most_batches || batch.size() == max_results || tests_ == most_tests) return -ENOSPC;
  const std::size_t loops = body->servers.size() * body->concurrency;
  if (body->operation != operation_kind::ping && loops * body->size > most_memory) return -ENOMEM;
  for (const auto& t : batch) {
    if (t->what() == *body) return 0;  // said twice, for the first answer was lost
    if (t->what().test == body->test) return -EEXIST;
  }
  batch.push_back(std::make_unique<test_run>(endpoint_, counters_, std::move(*body)));
  ++tests_;
  return 0;
}

int agent::run_batch(const parsed& p) {
  const auto body = parse_body<batch_request>(p.body);
  if (!body) return -EPROTO;
  const auto found = batches_.find(body->batch);
  if (found == batches_.end()) return -ENOENT;
  for (const auto& t : found->second) {
    if (t->running() || !t->idle()) return -EBUSY;
  }
  for (const auto& t : found->second) t->start(session_);
  return 0;
}

int agent::stop_batch(const parsed& p) {
  const auto body = parse_body<batch_request>(p.body);
  if (!body) return -EPROTO;
  const auto found = batches_.find(body->batch);
  if (found == batches_.end()) return -ENOENT;
  for (const auto& t : found->second) t->stop();
  return 0;
}

std::vector<std::byte> agent::query(const parsed& p) {
  const auto body = parse_body<batch_request>(p.body);
  if (!body) return reply(p.head, -EPROTO);
  const auto found = batches_.find(body->batch);
  if (found == batches_.end()) return reply(p.head, -ENOENT);
  batch_results results;
  for (const auto& t : found->second) results.tests.push_back(t->result());
  return reply(p.head, 0, results);
}

node_statistics agent::statistics() {
  node_statistics s = counters_.read();
  const auto up = clock::now() - started_;
  s.now_us = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(up).count());
  const lnet::counters l = endpoint_.lnet().stats();
  s.lnet_sent = l.sent;
  s.lnet_received = l.received;
  s.lnet_dropped = l.dropped;
  return s;
}

session_info agent::info() const {
  session_info i;
  i.console = session_.console;
  i.stamp = session_.stamp;
  i.timeout_s = static_cast<std::uint32_t>(timeout_.count());
  for (const auto& [id, batch] : batches_) {
    i.running +=
        static_cast<std::uint32_t>(std::count_if(batch.begin(), batch.end(), [](auto& t) { return t->running(); }));
  }
  const auto up = clock::now() - started_;
  i.uptime_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(up).count());
  i.name = name_;
  return i;
}

session_info agent::session() const {
  const std::lock_guard lock(mutex_);
  return info();
}

void agent::end_session() noexcept {
  for (auto& [id, batch] : batches_) {
    for (auto& t : batch) {
      t->stop();
      leftovers_.push_back(std::move(t));
    }
  }
  batches_.clear();
  tests_ = 0;
  session_ = {};
  name_.clear();
  timeout_ = {};
}

void agent::tick(clock::time_point now) {
  std::vector<std::unique_ptr<test_run>> gone;
  const std::lock_guard lock(mutex_);
  if (session_ && now - heard_ > timeout_) end_session();
  const auto over =
      std::partition(leftovers_.begin(), leftovers_.end(), [](const auto& t) { return t->running() || !t->idle(); });
  std::move(over, leftovers_.end(), std::back_inserter(gone));
  leftovers_.erase(over, leftovers_.end());
}

}  // namespace lnet::selftest
