// SPDX-License-Identifier: BSD-2-Clause
#include "cm/manager.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "base/random.hpp"
#include "cm/settings.hpp"

namespace kfx::cm {
namespace {

std::chrono::nanoseconds sooner(std::chrono::nanoseconds a, std::chrono::nanoseconds b) {
  if (a.count() == 0 || b.count() == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

manager::manager(surroundings around) : around_(std::move(around)), io_(around_.ctx.io) {}

manager::~manager() = default;

std::shared_ptr<engine::session> manager::at(std::string_view text) {
  std::lock_guard lock(mutex_);
  if (auto found = named_.find(text); found != named_.end()) return found->second->session;
  const named_target t = read_target(text, around_.host.settings());
  record_ptr rec = add(std::string(text), t.settings, place_of(t.uri), [&] {
    // kfx:// begins over tcp; where that leads is the best guess for what comes of it.
    backend::backend* b = backend::find_backend(t.uri.scheme == "kfx" ? "tcp" : t.uri.scheme);
    return b ? b->device(t.uri) : std::string();
  });
  rec->target = t.uri;
  rec->scheme = t.uri.scheme;
  rec->require = t.require;
  rec->named = true;
  named_.emplace(text, rec);
  return rec->session;
}

/// With the mutex held.
manager::record_ptr manager::add(const std::string& uri, const engine::session_settings& settings,
                                 const std::string& peer, const surroundings::device_of& device) {
  auto home = around_.home(peer, device);
  auto s = std::make_shared<engine::session>(home, uri, settings);
  auto rec = std::make_shared<record>(io_, s);
  s->cm = rec.get();
  s->stopped.store(refusing_);
  records_.push_back(rec);
  home->with_baton([&] { home->add_session(s); });
  return rec;
}

void manager::refuse_ops() {
  std::lock_guard lock(mutex_);
  refusing_ = true;
  for (const record_ptr& rec : records_) rec->session->stopped.store(true);
}

void manager::want_link(engine::session& s) {
  auto* rec = static_cast<record*>(s.cm);
  if (!rec || rec->asked.exchange(true)) return;
  asio::post(io_, [this, rec = rec->shared_from_this()] {
    rec->asked.store(false);
    begin_connecting(rec);
  });
}

void manager::link_lost(engine::session& s) {
  auto* rec = static_cast<record*>(s.cm);
  if (!rec || rec->lost.exchange(true)) return;
  asio::post(io_, [this, rec = rec->shared_from_this()] {
    rec->lost.store(false);
    link_gone(rec);
  });
}

void manager::link_gone(const record_ptr& rec) {
  bool linked = false;
  rec->session->home->with_baton([&] { linked = rec->session->linked(); });
  if (linked || stopping_) return;
  if (rec->told_up) tell(*rec, peer_event::down);
  // The time until it is forgotten runs.
  around_.host.want_ticks();
  if (still_wanted(*rec)) begin_connecting(rec);
}

void manager::tell(record& rec, peer_event e) {
  if (e != peer_event::restarted) rec.told_up = e == peer_event::up;
  around_.tell(rec.session, e);
}

manager::record_ptr manager::by_id(std::uint64_t key) const {
  const auto found = ids_.find(key);
  return found == ids_.end() ? nullptr : found->second.lock();
}

void manager::know(const record_ptr& rec, std::uint64_t id) {
  const std::uint64_t mask = rec->self ? ~std::uint64_t{0} : 0;
  if (rec->id == id) return;
  if (rec->id != 0) ids_.erase(rec->id ^ mask);
  rec->id = id;
  ids_[id ^ mask] = rec;
}

/// From here on both sides mean this session by that id, as far as this side can tell.
void manager::agree(const record_ptr& rec, std::uint64_t id) {
  know(rec, id);
  if (rec->proposed != 0) rec->given_up = rec->proposed;
  if (rec->given_up == id) rec->given_up = 0;
  rec->proposed = 0;
  rec->separate = false;
}

greeting manager::self(wire::type kind) const {
  const backend::context& ctx = around_.ctx;
  greeting g;
  g.kind = kind;
  g.node_id = ctx.node_id;
  g.incarnation = around_.host.incarnation();
  g.credits = static_cast<std::uint32_t>(around_.host.settings().credits);
  g.name = stable_name(around_.host.settings(), addresses_);
  g.host_id = ctx.host_id;
  g.process_id = ctx.process_id;
  g.addresses = addresses_;
  return g;
}

/// Notes who the peer is. True: it is another one than before, and everything that was meant for that one has ended.
bool manager::meet(record& rec, const greeting& peer) {
  bool restarted = false;
  engine::session& s = *rec.session;
  s.home->with_baton([&] {
    engine::identity& remote = s.remote;
    restarted = remote.incarnation != 0 && remote.incarnation != peer.incarnation;
    if (restarted) s.reset(make_error_code(errc::peer_restarted), true);
    remote.node_id = peer.node_id;
    remote.incarnation = peer.incarnation;
    remote.name = peer.name;
    remote.addresses = peer.addresses;
  });
  if (restarted) {
    if (rec.told_up) tell(rec, peer_event::down);
    tell(rec, peer_event::restarted);
  }
  return restarted;
}

/// Gives the session its link, unless somebody else took the decision over. The link is taken out only then.
bool manager::attach(const record_ptr& rec, std::uint64_t ticket, raw_link& link, const greeting& peer,
                     std::uint32_t peer_taken, const greeting& welcome) {
  if (rec->ticket != ticket || stopping_) return false;
  engine::session& s = *rec->session;
  const bool attached = s.home->with_baton([&] {
    if (s.stopped.load() || s.linked() || !s.plausible(peer_taken)) return false;
    s.id = welcome.session;
    if (rec->traced) s.uri = link.peer_address();
    s.attach(link.release(), peer_taken, peer.credits, welcome.epoch);
    return true;
  });
  if (!attached) return false;
  agree(rec, welcome.session);
  rec->changed.cancel();
  if (rec->told_up) tell(*rec, peer_event::down);
  tell(*rec, peer_event::up);
  around_.host.want_ticks();
  return true;
}

std::chrono::nanoseconds manager::tick(std::int64_t now) {
  std::vector<record_ptr> all;
  {
    std::lock_guard lock(mutex_);
    all = records_;
  }
  std::chrono::nanoseconds next{};
  for (record_ptr& rec : all) {
    bool drop = false;
    next = sooner(next, review(rec, now, drop));
    if (!drop) continue;
    std::lock_guard lock(mutex_);
    std::erase(records_, rec);
    const std::uint64_t key = rec->self ? ~rec->id : rec->id;
    if (by_id(key) == rec) ids_.erase(key);
    rec->session->home->with_baton([&] {
      rec->session->cm = nullptr;
      rec->session->home->remove_session(*rec->session);
    });
  }
  return next;
}

/// How soon it wants to be looked at again (0: never). `drop`: nobody knows of it any more.
std::chrono::nanoseconds manager::review(const record_ptr& rec, std::int64_t now, bool& drop) {
  using std::chrono::nanoseconds;
  engine::session& s = *rec->session;
  const engine::session_settings& is = s.settings;
  return s.home->with_baton([&]() -> nanoseconds {
    if (s.linked()) return sooner(sooner(is.keepalive / 2, is.limit / 8), is.idle / 4);
    const nanoseconds left = is.retention - nanoseconds(now - s.unlinked_since());
    if (s.id != 0 && left.count() <= 0) s.reset(make_error_code(errc::session_lost), rec->target.scheme.empty());
    if (s.wanting()) return s.id != 0 ? sooner(left, is.limit / 8) : is.limit / 8;
    if (rec->named || rec->connecting) return nanoseconds(0);
    if (left.count() > 0) return left;
    // One reference is the record's, one the partition's.
    drop = s.quiet() && rec->session.use_count() == 2;
    return drop ? nanoseconds(0) : std::max(is.retention, nanoseconds(std::chrono::seconds(1)));
  });
}

void manager::spawn(asio::awaitable<void> work) {
  const auto task = tasks_.emplace(tasks_.end());
  const auto over = [this, task](std::exception_ptr) {
    // Its outcome is in the session; what was thrown is the cancellation by stop(), or a lack of memory, after which
    // the next wish to connect begins anew.
    asio::post(io_, [this, task] { task_over(task); });
  };
  asio::co_spawn(io_, std::move(work), asio::bind_cancellation_slot(task->slot(), over));
}

void manager::task_over(std::list<asio::cancellation_signal>::iterator task) {
  tasks_.erase(task);
  if (stopping_ && tasks_.empty() && stopped_) std::exchange(stopped_, nullptr)();
}

void manager::stop(std::function<void()> done) {
  stopping_ = true;
  listeners_.clear();
  if (tasks_.empty()) return done();
  stopped_ = std::move(done);
  for (asio::cancellation_signal& task : tasks_) task.emit(asio::cancellation_type::terminal);
}

void manager::forget() {
  std::lock_guard lock(mutex_);
  for (const record_ptr& rec : records_) {
    engine::session& s = *rec->session;
    s.home->with_baton([&] {
      s.cm = nullptr;
      s.home->remove_session(s);
    });
  }
  named_.clear();
  ids_.clear();
  records_.clear();
}

void manager::listen(const std::vector<std::string>& uris) {
  for (const std::string& uri : uris) open_listener(uri);
  if (uris.empty() || std::exchange(meets_, true)) return;
  for (backend::backend* b : backend::all_backends()) open_meeting_place(*b);
}

std::vector<std::string> manager::addresses() const {
  std::lock_guard lock(mutex_);
  return addresses_;
}

/// So that those who came by another way find the best one.
void manager::open_meeting_place(backend::backend& b) {
  const std::string place = b.available(nullptr) ? b.meeting_place(around_.ctx) : std::string();
  if (place.empty()) return;
  const auto at = backend::uri::parse(place);
  if (!at) return;
  auto made = b.listen(around_.ctx, *at, [this](backend::channel c) { accepted(std::move(c)); });
  if (auto* l = std::get_if<std::unique_ptr<backend::listener>>(&made)) listeners_.push_back(std::move(*l));
}

void manager::open_listener(const std::string& text) {
  std::string why;
  auto at = backend::uri::parse(text, &why);
  if (!at) throw error(at.error(), "cannot listen: " + why);
  const std::string scheme = at->scheme;
  if (scheme == "kfx") at->scheme = "tcp";
  backend::backend& b = need_backend(at->scheme, text);
  auto made = b.listen(around_.ctx, *at, [this](backend::channel c) { accepted(std::move(c)); });
  if (auto* bad = std::get_if<backend::failure>(&made)) throw error(bad->code, bad->why);
  listeners_.push_back(std::move(std::get<std::unique_ptr<backend::listener>>(made)));
  for (std::string a : dialable(listeners_.back()->address())) {
    if (scheme == "kfx") a = "kfx" + a.substr(a.find("://"));
    std::lock_guard lock(mutex_);
    addresses_.push_back(std::move(a));
  }
}

}  // namespace kfx::cm
