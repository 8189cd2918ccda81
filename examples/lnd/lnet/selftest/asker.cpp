// SPDX-License-Identifier: BSD-2-Clause
#include "asker.hpp"

#include <cerrno>
#include <utility>

namespace lnet::selftest {

/// What one `ask` waits for. Those that are late keep it alive.
struct asker::round {
  std::mutex mutex;
  std::condition_variable all_in;
  std::size_t outstanding = 0;
  std::vector<outcome> outcomes;

  void set(std::size_t index, int status, std::span<const std::byte> body) {
    const std::lock_guard lock(mutex);
    if (index >= outcomes.size()) return;  // nobody waits any more
    outcomes[index].status = status;
    outcomes[index].body.assign(body.begin(), body.end());
    if (--outstanding == 0) all_in.notify_all();
  }
};

/// Lives as long as the node, for LNet may have its memory for longer than anybody waits.
struct asker::state {
  std::mutex mutex;
  std::vector<std::unique_ptr<one>> all;
  std::vector<one*> idle;
};

class asker::one final : public call {
 public:
  one(endpoint& e, state& s) : call(e), state_(s) { answer_.resize(large_message); }

  /// While idle.
  void begin(const to& q, std::chrono::milliseconds patience, std::shared_ptr<round> r, std::size_t index) {
    const auto p = parse(q.request);
    request_ = q.request;
    rpc_ = endpoint_.next_rpc();
    // The head again, with its name and how long we wait; the body stays.
    if (p) {
      head h = p->head;
      h.rpc = rpc_;
      h.patience_ms = static_cast<std::uint32_t>(patience.count());
      rename(request_, h);
    }
    whom_ = q.whom;
    patience_ = patience;
    index_ = index;
    round_ = std::move(r);
    fresh_ = true;
    wake();
  }

 private:
  void next() noexcept override {
    if (!fresh_) return;
    fresh_ = false;
    question q;
    q.target = {whom_, default_pid};
    q.portal = control_portal;
    q.patience = patience_;
    q.rpc = rpc_;
    q.message = request_;
    q.answer = answer_;
    ask(q);
  }
  void ended(const answer& a) noexcept override {
    tell(a.status, a.body);
    const std::lock_guard lock(state_.mutex);
    state_.idle.push_back(this);
  }
  void gave_up() noexcept override { tell(-ETIMEDOUT, {}); }

  void tell(int status, std::span<const std::byte> body) noexcept {
    if (const auto r = std::exchange(round_, nullptr)) r->set(index_, status, body);
  }

  state& state_;
  std::vector<std::byte> request_, answer_;
  std::uint64_t rpc_ = 0;
  nid whom_{};
  std::chrono::milliseconds patience_{};
  std::shared_ptr<round> round_;
  std::size_t index_ = 0;
  bool fresh_ = false;
};

asker::asker(node& n) : node_(n), state_(std::make_shared<state>()) { n.keep(state_); }

std::vector<asker::outcome> asker::ask(const std::vector<to>& questions, std::chrono::milliseconds patience) {
  if (questions.empty()) return {};
  const auto r = std::make_shared<round>();
  r->outstanding = questions.size();
  for (const to& q : questions) r->outcomes.push_back({q.whom, -ETIMEDOUT, {}});
  for (std::size_t i = 0; i < questions.size(); ++i) {
    one* free = nullptr;
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->idle.empty()) {
        state_->idle.reserve(state_->all.size() + 1);
        free = state_->all.emplace_back(std::make_unique<one>(node_.endpoint(), *state_)).get();
      } else {
        free = state_->idle.back();
        state_->idle.pop_back();
      }
    }
    free->begin(questions[i], patience, r, i);
  }
  std::unique_lock lock(r->mutex);
  // What is late says so by itself; the limit is for a node that is being shut down.
  r->all_in.wait_for(lock, patience + std::chrono::seconds(5), [&] { return r->outstanding == 0; });
  return std::move(r->outcomes);
}

}  // namespace lnet::selftest
