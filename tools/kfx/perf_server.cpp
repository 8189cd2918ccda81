// SPDX-License-Identifier: BSD-2-Clause
#include "perf_server.hpp"

#include <chrono>
#include <stdexcept>
#include <thread>

namespace tool::perf {

using namespace std::chrono_literals;

namespace {

/// More than anybody measures, less than what brings a host down.
constexpr std::uint64_t most_memory = std::uint64_t{8} << 30;

bool sensible(const order& o, std::size_t memory) {
  return o.header <= kfx::limits::header && o.places != 0 && o.places <= memory && o.size <= memory / o.places &&
         o.payload <= o.size && o.test >= test::send_oneway && o.test <= test::read;
}

}  // namespace

server::server(const server_options& o) : options_(o), node_({.listen = {o.uri}, .progress = o.progress}) {
  node_.on_message([this](kfx::message m) { on_message(std::move(m)); });
  node_.on_notify([this](const kfx::notification& n, const kfx::peer&) { on_notify(n); });
  node_.on_peer([this](const kfx::peer& p, kfx::peer_event e) { on_peer(p, e); });
}

std::string server::address() const { return node_.addresses().front(); }

void server::on_message(kfx::message&& m) {
  const kfx::const_buffer header = m.header();
  switch (header.empty() ? kind::data : static_cast<kind>(header[0])) {
    case kind::ping:
      if (!running_.load(std::memory_order_relaxed)) return;
      ++count_;
      if (m.payload_size() == 0) return pong(std::move(m));
      return receiver_.take(std::move(m), next_place(), [this](kfx::message&& whole) { pong(std::move(whole)); });
    case kind::call:
      if (!running_.load(std::memory_order_relaxed)) return;
      ++count_;
      return m.reply({}, next_place(), kfx::as_op).detach();
    case kind::order:
      return on_order(std::move(m));
    default:
      if (!running_.load(std::memory_order_relaxed)) return;
      ++count_;
      if (m.payload_size() != 0) receiver_.take(std::move(m), next_place(), [](kfx::message&&) {});
  }
}

kfx::mutable_buffer server::next_place() {
  const std::size_t at = place_ * now_.size;
  if (++place_ == now_.places) place_ = 0;
  return memory_->span().subspan(at, now_.size);
}

/// The answering send is made in the handler: that is the shortest way there is.
void server::pong(kfx::message&& m) {
  m.let_go();
  client_.send(header_, kfx::const_buffer(memory_->span().data(), now_.payload)).detach();
}

void server::on_order(kfx::message&& m) {
  std::lock_guard lock(mutex_);
  const auto o = decode<order>(m.header());
  if (!m.wants_reply()) return;
  answer a;
  if (!o || o->version != version) {
    a.status = o ? status::other_version : status::no_sense;
    return m.reply(bytes_of(a));
  }
  const kfx::peer from = m.from();
  if (o->verb == verb::hello) {
    a = hello(*o, from);
  } else if (!client_.valid() || !(from == client_)) {
    a.status = client_.valid() ? status::busy : status::no_sense;
  } else if (o->verb == verb::begin && sensible(*o, memory_->span().size())) {
    begin(*o);
  } else if (o->verb == verb::end) {
    stop_test();
    a.count = count_;
  } else if (o->verb == verb::bye) {
    stop_test();
    bye_ = true;
    node_.stop();
  } else {
    a.status = status::no_sense;
  }
  m.reply(bytes_of(a));
}

answer server::hello(const order& o, const kfx::peer& from) {
  answer a;
  const auto token = kfx::remote_region::decode(o.token);
  if (client_.valid() && !(client_ == from)) {
    a.status = status::busy;
  } else if (!token || o.size > most_memory || o.memory > memory::ordinary) {
    a.status = status::no_sense;
  } else {
    try {
      memory_ = std::make_unique<shared_memory>(node_, o.memory, o.size);
      client_ = from;
      client_memory_ = *token;
      a.token = memory_->region().token().encode();
    } catch (const std::exception&) {
      a.status = status::no_memory;
    }
  }
  return a;
}

/// Afterwards nobody looks at the word any more.
void server::stop_test() {
  running_ = watching_ = false;
  if (options_.progress == kfx::progress::threads) std::lock_guard wait(watch_mutex_);
}

void server::begin(const order& o) {
  stop_test();
  now_ = o;
  count_ = place_ = word_ = 0;
  header_.assign(o.header, std::byte{0});
  if (!header_.empty()) header_[0] = static_cast<std::byte>(kind::ping);
  if (o.test == test::write8_oneway && memory_->span().size() >= sizeof word_) {
    std::memset(memory_->span().data(), 0, sizeof word_);
    watching_ = true;
  }
  running_ = true;
  node_.stop();
}

void server::on_notify(const kfx::notification& n) {
  if (!running_.load(std::memory_order_relaxed)) return;
  ++count_;
  if (now_.test != test::notify_oneway) return;
  client_.write(kfx::const_buffer(memory_->span().data(), now_.size), client_memory_, {.notify = n.imm}).detach();
}

/// The word changed: the same goes back. The source is the word itself, which changes once that has arrived.
void server::look_at_word() {
  auto* const mine = reinterpret_cast<std::uint64_t*>(memory_->span().data());
  const std::uint64_t seen = std::atomic_ref(*mine).load(std::memory_order_acquire);
  if (seen == word_) return;
  word_ = seen;
  ++count_;
  client_.write(kfx::const_buffer(memory_->span().data(), sizeof word_), client_memory_, {.write8 = true}).detach();
}

void server::on_peer(const kfx::peer& p, kfx::peer_event e) {
  std::lock_guard lock(mutex_);
  if (e == kfx::peer_event::up || !client_.valid() || !(p == client_)) return;
  (bye_ ? gone_ : lost_) = true;
  running_ = watching_ = false;
  node_.stop();
}

void server::forget_client() {
  std::lock_guard lock(mutex_);
  client_ = {};
  bye_ = gone_ = lost_ = false;
  memory_.reset();
}

/// One burst of work during a test.
void server::work() {
  const bool caller = options_.progress == kfx::progress::caller;
  // A poll runs the handlers that end the test.
  std::unique_lock watching(watch_mutex_, std::defer_lock);
  if (!caller) watching.lock();
  for (int i = 0; i < 4096 && running_.load(std::memory_order_relaxed); ++i) {
    if (watching_.load(std::memory_order_relaxed)) look_at_word();
    if (caller) node_.poll();
  }
}

void server::rest() {
  if (options_.progress == kfx::progress::caller)
    node_.run_for(50ms);
  else
    std::this_thread::sleep_for(1ms);
}

/// The last answer leaves before the node does.
void server::linger() {
  const auto end = kfx::clock::now() + 2s;
  while (!gone_ && !lost_ && kfx::clock::now() < end) rest();
}

void server::serve() {
  while (!stopped()) {
    // The engine's own threads do it all, unless somebody has to look at a word.
    if (running_ && (options_.progress == kfx::progress::caller || watching_))
      work();
    else
      rest();
    if (bye_) {
      linger();
      if (!options_.persist) return;
      forget_client();
    } else if (lost_) {
      if (!options_.persist)
        throw std::runtime_error("the client went away before it was done; --persist waits for the next one");
      forget_client();
    }
  }
}

}  // namespace tool::perf
