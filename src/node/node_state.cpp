// SPDX-License-Identifier: BSD-2-Clause
#include "node/node_state.hpp"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <exception>
#include <future>

#include "base/host_id.hpp"
#include "base/random.hpp"
#include "cm/settings.hpp"
#include "engine/crowd.hpp"
#include "memory/slab.hpp"

namespace kfx::detail {
namespace {

namespace asio = boost::asio;

kfx::options checked(kfx::options o) {
  const auto fail = [](const std::string& why) -> kfx::options { throw error(errc::bad_option, why); };
  if (o.name.size() > limits::name) return fail("options::name is longer than 255 bytes; choose a shorter one");
  if (o.credits == 0 || o.credits > 65536) return fail("options::credits must be from 1 to 65536");
  if (o.max_ops == 0) return fail("options::max_ops must not be 0");
  if (o.limit.count() <= 0) return fail("options::limit must be 1ms at least");
  if (o.keepalive.count() <= 0) return fail("options::keepalive must be 1ms at least");
  if (o.backoff.count() <= 0) return fail("options::backoff must be 1ms at least");
  if (o.idle.count() < 0 || o.retention.count() < 0 || o.spin.count() < 0)
    return fail("options::idle, retention and spin must not be negative");
  return o;
}

void load_backends(const std::string& paths) {
  for (std::size_t at = 0; at < paths.size();) {
    const std::size_t end = std::min(paths.find(':', at), paths.size());
    std::string why;
    if (end > at) {
      auto loaded = backend::load_backend(paths.substr(at, end - at), &why);
      if (!loaded) throw error(loaded.error(), why);
    }
    at = end + 1;
  }
}

}  // namespace

node_state::node_state(kfx::options o)
    : options_(checked(std::move(o))),
      incarnation_(base::random_u64()),
      ctx_{io_, base::random_id(), base::host_id(), base::process_id(), options_},
      plan_(numa::make_plan(options_, numa::machine(), numa::own_cpus())) {
  load_backends(options_.backends);
  if (!options_.require.empty()) cm::need_backend(options_.require, "options::require");
}

node_state::~node_state() {
  shut_down();
  if (fd_ >= 0) ::close(fd_);
}

void node_state::open() {
  make_partitions();
  make_manager();
  ticker_ = std::make_unique<node_detail::ticker>(
      io_, [this] { return tick(); }, [this] { return watch(); });
  events_ = std::make_unique<node_detail::peer_events>(
      options_.progress == progress::threads, [this](const peer& p, peer_event e) { deliver(p, e); },
      [this] { partitions_.front()->wake(); });
  manager_->listen(options_.listen);
  if (options_.progress == progress::threads)
    for (const auto& p : partitions_) p->start_threads();
  start_control();
}

void node_state::listen(const std::string& uri) {
  std::promise<void> listening;
  asio::post(io_, [&] {
    try {
      manager_->listen({uri});
      listening.set_value();
    } catch (...) {
      listening.set_exception(std::current_exception());
    }
  });
  listening.get_future().get();
}

void node_state::make_partitions() {
  for (const numa::place& where : plan_.partitions) {
    auto* made = new engine::partition(*this, static_cast<unsigned>(partitions_.size()), where);
    keeper_->partitions.fetch_add(1);
    partitions_.emplace_back(made, [k = keeper_](engine::partition* p) {
      delete p;
      if (k->partitions.fetch_sub(1) != 1) return;
      const std::shared_ptr<node_state> last = std::move(k->node);  // that all of them refer to
    });
  }
}

/// `device` says what carries the peer, and is asked only if that matters.
std::shared_ptr<engine::partition> node_state::home_of(std::string_view peer,
                                                       const std::function<std::string()>& device) const {
  if (partitions_.size() == 1) return partitions_.front();
  const std::string name = device();
  return partitions_[plan_.home_of(peer, name.empty() ? -1 : numa::node_of_interface(numa::machine(), name))];
}

void node_state::make_manager() {
  cm::surroundings around{*this, ctx_, [this](auto peer, const auto& device) { return home_of(peer, device); },
                          [this](const std::shared_ptr<engine::session>& s, peer_event e) {
                            const engine::handlers* h = handlers_.load(std::memory_order_acquire);
                            if (h && h->peer) events_->push(peer(s), e);
                          }};
  manager_ = std::make_unique<cm::manager>(std::move(around));
}

void node_state::start_control() {
  control_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "kfx-ctl");
    io_.run();
  });
}

void node_state::stop_control() {
  if (!control_.joinable()) return;
  std::promise<void> over;
  asio::post(io_, [this, &over] {
    ticker_->stop();
    manager_->stop([&over] { over.set_value(); });
  });
  over.get_future().wait();
}

bool node_state::in_own_handler() const noexcept {
  engine::partition* const p = engine::handler_of_thread;
  return (p && &p->owner() == this) || (events_ && events_->run_here());
}

void node_state::shut_down() {
  if (down_.exchange(true) || !manager_) return;
  if (in_own_handler()) {
    std::fputs(
        "kfx: a node was destroyed in a handler of its own, which it would wait for; do it in another thread, or in a "
        "handler that is bound to an executor of yours\n",
        stderr);
    std::terminate();
  }
  manager_->refuse_ops();
  stop_control();
  for (const auto& p : partitions_) p->with_baton([&] { p->stop_sessions(); });
  for (const auto& p : partitions_) p->stop_threads();
  work_.reset();
  io_.stop();
  if (control_.joinable()) control_.join();
  if (events_) events_->stop();
  // What ended just now may have handlers that nobody ran.
  for (const auto& p : partitions_)
    while (p->poll(true) != 0 || p->work_ready()) {
    }
  for (const auto& p : partitions_) p->retire_from_lookup();
  // Wishes that came too late hold on to sessions, and those to all of this.
  io_.restart();
  io_.poll();
  manager_->forget();
  if (!partitions_.empty()) keeper_->node = weak_from_this().lock();
  partitions_.clear();
}

std::chrono::nanoseconds node_state::tick() {
  const std::int64_t now = engine::now_ns();
  for (const auto& p : partitions_) p->tick(now);
  if (options_.progress == progress::caller) {
    std::lock_guard lock(rest_mutex_);
    for (const auto& p : partitions_) p->nudge();
    if (exposed_.load()) rest();
  }
  return manager_->tick(now);
}

bool node_state::watch() {
  bool any = false;
  for (const auto& p : partitions_) any |= p->watch();
  return any;
}

void node_state::want_link(engine::session& s) {
  if (!down_.load(std::memory_order_acquire)) manager_->want_link(s);
}

void node_state::lost_link(engine::session& s) {
  if (!down_.load(std::memory_order_acquire)) manager_->link_lost(s);
}

// --- handlers

const engine::handlers* node_state::current_handlers() const noexcept {
  return handlers_.load(std::memory_order_acquire);
}

template <class F>
void node_state::change_handlers(F f) {
  std::lock_guard lock(handlers_mutex_);
  const engine::handlers* old = handlers_.load(std::memory_order_relaxed);
  auto fresh = old ? std::make_unique<engine::handlers>(*old) : std::make_unique<engine::handlers>();
  f(*fresh);
  handlers_.store(fresh.get(), std::memory_order_release);
  all_handlers_.push_back(std::move(fresh));
}

void node_state::on_message(message_handler h) {
  change_handlers([&](engine::handlers& all) { all.message = std::move(h); });
}
void node_state::on_notify(notify_handler h) {
  change_handlers([&](engine::handlers& all) { all.notify = std::move(h); });
}
void node_state::on_peer(peer_handler h) {
  change_handlers([&](engine::handlers& all) { all.peer = std::move(h); });
}

void node_state::deliver(const peer& who, peer_event what) {
  const engine::handlers* h = handlers_.load(std::memory_order_acquire);
  if (h && h->peer) h->peer(who, what);
}

// --- memory

std::shared_ptr<region_state> node_state::share(mutable_buffer memory, access rights) {
  auto r = std::make_shared<region_state>();
  r->memory = memory;
  r->rights = rights;
  r->key = memory::region_key(base::random_u64());
  r->incarnation = incarnation_;
  r->revoke = [weak = weak_from_this()](region_state& gone) {
    if (const auto node = weak.lock()) node->revoke(gone);
  };
  for (const auto& p : partitions_) p->with_baton([&] { p->keys.insert(r->key, {r.get(), nullptr}); });
  return r;
}

void node_state::revoke(region_state& r) {
  names_.erase_key(r.key);
  // A node that is down holds no links, so nothing can touch the memory.
  if (down_.load(std::memory_order_acquire)) return;
  for (const auto& p : partitions_) p->with_baton([&] { p->revoke_key(r.key); });
}

void node_state::publish(std::string_view name, const remote_region& token) {
  if (name.empty() || name.size() > limits::name)
    throw error(errc::bad_option, "a published name has 1 to 255 bytes, this one has " + std::to_string(name.size()));
  if (token.raw().key == 0 || token.raw().incarnation != incarnation_)
    throw error(errc::stale_region,
                "\"" + std::string(name) + "\" cannot be published: the region is not shared by this node (any more)");
  names_.set(name, token);
}

buffer node_state::allocate(std::size_t bytes, const placement& where) const {
  const int node = where.numa_node >= 0 ? where.numa_node : plan_.buffer_node(numa::machine(), ::sched_getcpu());
  auto s = memory::slab::make({bytes, node, where.huge_pages});
  const mutable_buffer memory(s->data(), bytes);
  return buffer(std::move(s), memory);
}

// --- progress::caller

std::size_t node_state::poll() {
  std::size_t n = 0;
  for (const auto& p : partitions_) n += p->poll(true);
  if (options_.progress == progress::caller) n += events_->run();
  // Also after a poll that found something: the program may sleep before it polls again.
  if (exposed_.load(std::memory_order_relaxed)) {
    std::lock_guard lock(rest_mutex_);
    rest();
  }
  return n;
}

/// From here on the descriptor tells when there is something to do; when that is so already, at once.
void node_state::rest() {
  for (const auto& p : partitions_)
    if (!p->arm()) p->wake();
}

void node_state::run(clock::time_point until) {
  if (partitions_.size() > 1) (void)fd();  // what it sleeps on
  runners_.fetch_add(1);
  for (const auto& p : partitions_) p->enter_run();
  clock::time_point busy_at = clock::now();
  engine::crowd& others = engine::crowd_of_thread();
  others.slept();
  while (!stop_.load()) {
    const std::size_t n = poll();
    const clock::time_point now = clock::now();
    if (now >= until) break;
    if (n != 0) {
      busy_at = now;
      others.slept();
      continue;
    }
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
    if (!others.around(ns) && now - busy_at < options_.spin) {
      engine::cpu_relax();
      continue;
    }
    sleep(until);
    others.slept();
    // What woke it is polled for before it sleeps again, without a spin: that had its chance.
  }
  for (const auto& p : partitions_) p->leave_run();
  // A stop ends every run under way, and the next one when none is.
  if (runners_.fetch_sub(1) == 1)
    stop_.store(false);
  else if (stop_.load())
    for (const auto& p : partitions_) p->wake();
}

/// Until a partition has something to do, or a stop.
void node_state::sleep(clock::time_point until) {
  const bool bounded = until != clock::time_point::max();
  if (partitions_.size() == 1)
    return partitions_.front()->sleep(
        bounded ? std::chrono::duration_cast<std::chrono::nanoseconds>(until.time_since_epoch()).count() : INT64_MAX,
        [](const void* stop) noexcept { return static_cast<const std::atomic<bool>*>(stop)->load(); }, &stop_);
  // The last poll() made all of them ready for it: a stop from here on makes the descriptor readable.
  if (stop_.load()) return;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  pollfd any{fd_, POLLIN, 0};
  ::poll(&any, 1, bounded ? static_cast<int>(std::clamp<std::int64_t>(ms, 0, INT_MAX)) : -1);
}

void node_state::stop() {
  stop_.store(true);
  for (const auto& p : partitions_) p->wake();
}

int node_state::fd() {
  std::lock_guard lock(fd_mutex_);
  if (fd_ >= 0) return fd_;
  const int made = ::epoll_create1(EPOLL_CLOEXEC);
  if (made < 0)
    throw error(errc::out_of_resources,
                "cannot make a descriptor to wait for: " + std::generic_category().message(errno) +
                    "; raise the limit of open files (ulimit -n)");
  for (const auto& p : partitions_) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    ::epoll_ctl(made, EPOLL_CTL_ADD, p->epoll_fd(), &wanted);
  }
  fd_ = made;
  std::lock_guard resting(rest_mutex_);
  exposed_.store(true);
  rest();
  return fd_;
}

}  // namespace kfx::detail
