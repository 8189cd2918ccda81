// SPDX-License-Identifier: BSD-2-Clause
#include "endpoint.hpp"

#include <algorithm>
#include <random>
#include <system_error>

#include "operation.hpp"

namespace lnet::selftest {

namespace {

constexpr std::chrono::milliseconds tick_interval{20};

std::uint64_t random_start() {
  std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) >> 2;
}

}  // namespace

endpoint::endpoint(std::unique_ptr<host> h, unsigned threads)
    : owned_(std::move(h)),
      lnet_(*owned_),
      events_(std::make_shared<event_queue>(&operation::on_event)),
      next_rpc_(random_start()),
      tasks_(threads),
      timer_([this] { tick(); }) {}

endpoint::~endpoint() { shut_down(); }

void endpoint::shut_down() noexcept {
  if (!owned_) return;
  {
    const std::lock_guard lock(timer_mutex_);
    end_ = true;
  }
  timer_wake_.notify_all();
  timer_.join();
  tasks_.stop();
  owned_.reset();
}

void endpoint::watch(operation& o) {
  const std::lock_guard lock(watch_mutex_);
  watched_.push_back(&o);
}

void endpoint::forget(operation& o) noexcept {
  const std::lock_guard lock(watch_mutex_);
  std::erase(watched_, &o);
}

void endpoint::at_ticks(std::function<void(clock::time_point)> f) {
  const std::lock_guard lock(timer_mutex_);
  at_ticks_.push_back(std::move(f));
}

void endpoint::tick() {
  std::unique_lock lock(timer_mutex_);
  while (!timer_wake_.wait_for(lock, tick_interval, [this] { return end_; })) {
    const auto calls = at_ticks_;
    lock.unlock();
    const auto now = clock::now();
    {
      const std::lock_guard watching(watch_mutex_);
      for (operation* o : watched_) o->tick(now);
    }
    for (const auto& call : calls) call(now);
    lock.lock();
  }
}

request_portal::request_portal(endpoint& e, const shape& s, handler h)
    : endpoint_(e),
      shape_(s),
      handler_(std::move(h)),
      events_(std::make_shared<event_queue>([this](const event& ev) { arrived(ev); })) {
  int status = e.lnet().set_lazy_portal(s.portal);
  for (unsigned i = 0; i < s.count && status == 0; ++i) {
    auto& b = *buffers_.emplace_back(std::make_unique<buffer>());
    b.portal = this;
    b.memory = page_buffer(s.buffer);
    status = post(b);
  }
  if (status != 0) throw std::system_error(-status, std::generic_category(), "selftest: cannot post request buffers");
}

int request_portal::post(buffer& b) noexcept {
  host& lnet = endpoint_.lnet();
  me_handle me;
  if (const int status =
          lnet.me_attach(shape_.portal, {}, 0, ~std::uint64_t{0}, unlink_op::unlink, insert_position::after, me)) {
    return status;
  }
  memory_descriptor d;
  d.memory = {b.memory.bytes()};
  d.max_size = shape_.largest;
  d.options = md_op_put | md_max_size;
  d.user = &b;
  d.events = events_;
  md_handle md;
  const int status = lnet.md_attach(me, d, unlink_op::unlink, md);
  if (status != 0) lnet.me_unlink(me);
  return status;
}

void request_portal::buffer::run() noexcept { portal->post(*this); }

void request_portal::arrived(const event& ev) {
  auto& b = *static_cast<buffer*>(ev.user);
  // Events of one buffer come on several threads: the last who reads in it posts it again.
  b.readers.fetch_add(1);
  if (ev.type == event_type::put && ev.status == 0) {
    handler_(ev.initiator, b.memory.bytes().subspan(ev.offset, ev.mlength));
  }
  if (ev.unlinked) b.spent.store(true);
  if (b.readers.fetch_sub(1) == 1 && b.spent.exchange(false)) endpoint_.tasks().soon(b);
}

}  // namespace lnet::selftest
