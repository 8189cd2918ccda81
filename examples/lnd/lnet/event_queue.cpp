// SPDX-License-Identifier: BSD-2-Clause
#include <condition_variable>
#include <deque>
#include <mutex>

#include "host.hpp"

namespace lnet {

const char* to_string(event_type t) noexcept {
  switch (t) {
    case event_type::get:
      return "GET";
    case event_type::put:
      return "PUT";
    case event_type::reply:
      return "REPLY";
    case event_type::ack:
      return "ACK";
    case event_type::send:
      return "SEND";
    case event_type::unlink:
      return "UNLINK";
  }
  return "?";
}

struct event_queue::state {
  handler tell;
  std::mutex mutex;
  std::condition_variable more;
  std::deque<event> events;
};

event_queue::event_queue() : s_(std::make_unique<state>()) {}
event_queue::event_queue(handler h) : event_queue() { s_->tell = std::move(h); }
event_queue::~event_queue() = default;

std::optional<event> event_queue::poll(std::chrono::milliseconds limit) {
  std::unique_lock lock(s_->mutex);
  if (!s_->more.wait_for(lock, limit, [this] { return !s_->events.empty(); })) return std::nullopt;
  const event e = s_->events.front();
  s_->events.pop_front();
  return e;
}

void event_queue::push(const event& e) {
  if (s_->tell) return s_->tell(e);
  {
    std::lock_guard lock(s_->mutex);
    s_->events.push_back(e);
  }
  s_->more.notify_one();
}

}  // namespace lnet
