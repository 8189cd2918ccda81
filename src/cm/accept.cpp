// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The accepting side: whose hello it is, which session it means, and whether this side wants it.

#include <algorithm>

#include "base/random.hpp"
#include "cm/coroutines.hpp"
#include "cm/manager.hpp"
#include "cm/settings.hpp"

namespace kfx::cm {
namespace {

/// Who connects and says nothing is dropped after so long.
constexpr std::chrono::seconds patience(5);
/// For the reader of a refusal to see it before the connection ends.
constexpr std::chrono::milliseconds farewell(500);
/// An own attempt that is older does not keep the peer's out.
constexpr std::chrono::seconds race_window(1);
constexpr unsigned max_strangers = 512;
constexpr unsigned max_probes = 8;

class counted {
 public:
  explicit counted(unsigned& n) : n_(n) { ++n_; }
  ~counted() { --n_; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;

 private:
  unsigned& n_;
};

bool has(const std::vector<std::string>& list, const std::string& what) {
  return !what.empty() && std::find(list.begin(), list.end(), what) != list.end();
}

/// Leaves the addresses that mean the same here as there, each as its place.
std::vector<std::string> usable(const greeting& hello, const backend::context& ctx) {
  std::vector<std::string> list;
  for (const std::string& text : hello.addresses) {
    auto u = backend::uri::parse(text);
    if (!u || (local_only(*u) && hello.host_id != ctx.host_id)) continue;
    // Names of one process.
    if (u->scheme == "loop" && hello.process_id != ctx.process_id) continue;
    list.push_back(place_of(*u));
  }
  return list;
}

/// The same node in whatever life, as far as names tell.
bool same_node(const engine::identity& known, const std::string& target, const greeting& hello) {
  if (!known.name.empty() && known.name == hello.name) return true;
  if (!known.node_id.empty() && known.node_id == hello.node_id) return true;
  return has(hello.addresses, target);
}

}  // namespace

void manager::accepted(backend::channel c) {
  if (stopping_ || strangers_ >= max_strangers) return;  // the channel closes
  spawn(accept(std::move(c)));
}

asio::awaitable<void> manager::accept(backend::channel c) {
  const counted stranger(strangers_);
  raw_link link(io_, std::move(c));
  for (unsigned probes = 0;; ++probes) {
    const auto until = clock::now() + patience;
    heard said = co_await link.receive(until);
    if (auto* f = std::get_if<backend::failure>(&said)) {
      const bool answer = f->code == errc::version_mismatch || f->code == errc::protocol_error;
      const greeting no = make_refuse(refusal::other, f->code, f->why);
      if (answer) co_await refuse(link, no);
      co_return;
    }
    greeting hello = std::move(std::get<greeting>(said));
    if (hello.kind != wire::type::hello || probes == max_probes) {
      const greeting no =
          make_refuse(refusal::other, make_error_code(errc::protocol_error), "a connection begins with a hello");
      co_await refuse(link, no);
      co_return;
    }
    if (!hello.probe) {
      hello.addresses = usable(hello, around_.ctx);
      co_await admit(link, hello);
      co_return;
    }
    greeting answer = self(wire::type::welcome);
    answer.probe = true;
    for (backend::backend* b : backend::all_backends()) {
      std::string why;
      std::string address = b->available(&why) ? b->offer(around_.ctx) : std::string();
      if (!address.empty()) answer.offers.push_back({std::string(b->name()), std::move(address)});
    }
    const std::error_code unsent = co_await link.send(answer, until);
    if (unsent) co_return;
  }
}

asio::awaitable<void> manager::refuse(raw_link& link, const greeting& why) {
  const std::error_code unsent = co_await link.send(why, clock::now() + farewell);
  if (unsent) co_return;
  co_await link.linger(clock::now() + farewell);
}

asio::awaitable<void> manager::admit(raw_link& link, const greeting& hello) {
  const std::string from = link.describe();
  const verdict v = judge(hello, link);
  if (!v.rec) {
    co_await refuse(link, v.refuse);
    co_return;
  }
  const std::uint64_t ticket = ++v.rec->ticket;
  greeting welcome = self(wire::type::welcome);
  welcome.session = v.session;
  welcome.lost = v.lost;
  welcome.taken = v.taken;
  engine::session& s = *v.rec->session;
  // A welcome that was sent may have been read: the session exists before it goes out, whatever becomes of this link.
  s.home->with_baton([&] {
    s.id = v.session;
    welcome.epoch = std::max(hello.epoch, s.next_epoch());
  });
  agree(v.rec, v.session);
  const std::error_code unsent = co_await link.send(welcome, clock::now() + patience);
  if (unsent) co_return;
  s.home->with_baton([&] { s.chosen = "the peer connected by " + from; });
  attach(v.rec, ticket, link, hello, v.peer_taken, welcome);
}

/// Decides, and prepares the session: its old link is fenced, or its state given up.
manager::verdict manager::judge(const greeting& hello, const raw_link& link) {
  const bool own = hello.node_id == around_.ctx.node_id;
  const record_ptr known = by_id(own ? ~hello.session : hello.session);
  if (known && known->session->home->with_baton([&] { return known->session->id == hello.session; }))
    return judge_known(known, hello);
  if (const record_ptr rec = own ? nullptr : proposer_of(hello)) {
    verdict crossed = judge_crossed(rec, hello);
    if (crossed.rec || crossed.refuse.kind == wire::type::refuse) return crossed;
  }
  verdict v;
  // A lost session's number may still mean that one to the peer, should the answer not arrive.
  v.session = hello.resume ? base::random_u64() : hello.session;
  v.lost = hello.resume;
  if (own) {
    v.rec = newcomer(hello, link);
    return v;
  }
  bury_former_lives(hello);
  v.rec = successor_of(hello);
  if (!v.rec) v.rec = awaited(hello);
  if (v.rec && contested(*v.rec, hello)) {
    v.rec = nullptr;
    v.refuse = make_refuse(refusal::race, make_error_code(errc::refused), "this side is connecting to that one");
    return v;
  }
  if (!v.rec && !hello.separate && established_elsewhere(hello)) {
    v.refuse = make_refuse(refusal::already, make_error_code(errc::refused), "these nodes have a session");
    return v;
  }
  if (!v.rec) v.rec = newcomer(hello, link);
  meet(*v.rec, hello);
  return v;
}

/// The hello names a session that is alive: it is resumed, or this is the same fresh hello once more.
manager::verdict manager::judge_known(const record_ptr& rec, const greeting& hello) {
  verdict v;
  engine::session& s = *rec->session;
  if (contested(*rec, hello)) {
    v.refuse = make_refuse(refusal::race, make_error_code(errc::refused), "this side is connecting to that one");
    return v;
  }
  s.home->with_baton([&] {
    if (s.remote.node_id != hello.node_id || s.remote.incarnation != hello.incarnation) {
      v.refuse = make_refuse(refusal::lost, make_error_code(errc::session_lost), "that session is another node's");
      return;
    }
    const std::uint32_t taken = hello.resume ? hello.taken : 0;
    // A fresh hello that comes after frames went either way is a stray one, of an attempt that was given up.
    const bool stray = !hello.resume && (s.taken() != 0 || !s.plausible(0));
    if (stray || !s.plausible(taken)) {
      // Old news, from a connection that was cut since. Should the peer mean it, it gives the session up itself.
      v.refuse = make_refuse(refusal::lost, make_error_code(errc::session_lost), "the counts of frames do not fit");
      return;
    }
    v.session = s.id;
    v.taken = s.fence();
    v.peer_taken = taken;
    v.rec = rec;
  });
  return v;
}

/// The session that this side proposed under that id without hearing the answer. The peer agreed, it seems, and both
/// sides went on to connect.
manager::record_ptr manager::proposer_of(const greeting& hello) {
  if (!hello.resume) return nullptr;
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(records_.begin(), records_.end(), [&](const record_ptr& rec) {
    return rec->proposed == hello.session || rec->given_up == hello.session;
  });
  return found == records_.end() ? nullptr : *found;
}

/// Two proposals crossed, and each side may have agreed to the other's. As long as no frame of either was acted on,
/// they are one session still; this side's id is the one to use. Else `rec` and the refusal stay empty.
manager::verdict manager::judge_crossed(const record_ptr& rec, const greeting& hello) {
  verdict v;
  if (contested(*rec, hello)) {
    v.refuse = make_refuse(refusal::race, make_error_code(errc::refused), "this side is connecting to that one");
    return v;
  }
  engine::session& s = *rec->session;
  s.home->with_baton([&] {
    const bool same_peer = s.id == 0 || s.remote.incarnation == hello.incarnation;
    if (!same_peer || hello.taken != 0 || s.taken() != 0 || !s.plausible(0)) return;
    v.session = s.id != 0 ? s.id : hello.session;
    v.taken = s.fence();
    v.rec = rec;
  });
  if (v.rec) meet(*rec, hello);
  return v;
}

/// The peer connects to this node while this node connects to the peer: the attempt of the higher node id goes on.
bool manager::contested(const record& rec, const greeting& hello) const {
  return rec.dialling && clock::now() - rec.since < race_window && around_.ctx.node_id > hello.node_id;
}

/// Sessions with earlier incarnations of whoever says this hello end.
void manager::bury_former_lives(const greeting& hello) {
  std::vector<record_ptr> all;
  {
    std::lock_guard lock(mutex_);
    all = records_;
  }
  for (const record_ptr& rec : all) {
    engine::session& s = *rec->session;
    const std::string target = rec->target.scheme.empty() ? std::string() : place_of(rec->target);
    const bool former = s.home->with_baton([&] {
      const engine::identity& known = s.remote;
      if (known.incarnation == 0 || known.incarnation == hello.incarnation) return false;
      return same_node(known, target, hello);
    });
    if (former && !rec->self) meet(*rec, hello);
  }
}

/// The session that the hello says it takes the place of.
manager::record_ptr manager::successor_of(const greeting& hello) {
  const record_ptr rec = hello.previous ? by_id(hello.previous) : nullptr;
  if (!rec) return nullptr;
  engine::session& s = *rec->session;
  const bool theirs = s.home->with_baton([&] {
    if (s.remote.node_id != hello.node_id) return false;
    if (s.id != 0 && s.id != hello.previous) return false;
    if (s.id != 0) s.reset(make_error_code(errc::session_lost), false);
    return true;
  });
  return theirs ? rec : nullptr;
}

/// A session of this side with that node which has no connection yet, or none any more.
manager::record_ptr manager::awaited(const greeting& hello) {
  std::lock_guard lock(mutex_);
  record_ptr best;
  for (const record_ptr& rec : records_) {
    if (rec->self || rec->scheme != hello.scheme) continue;
    const std::string target = rec->target.scheme.empty() ? std::string() : place_of(rec->target);
    engine::session& s = *rec->session;
    const bool free = s.home->with_baton([&] {
      const engine::identity& known = s.remote;
      if (s.id != 0 || s.linked()) return false;
      if (known.incarnation != 0 && known.incarnation != hello.incarnation) return false;
      return same_node(known, target, hello);
    });
    if (free && (!best || (rec->named && !best->named))) best = rec;
  }
  return best;
}

/// This side has a session of its own making with that node already.
bool manager::established_elsewhere(const greeting& hello) {
  std::lock_guard lock(mutex_);
  return std::any_of(records_.begin(), records_.end(), [&](const record_ptr& rec) {
    if (!rec->named || rec->self || rec->scheme != hello.scheme || !has(hello.addresses, place_of(rec->target)))
      return false;
    engine::session& s = *rec->session;
    return s.home->with_baton([&] { return s.id != 0 && s.remote.incarnation == hello.incarnation; });
  });
}

manager::record_ptr manager::newcomer(const greeting& hello, const raw_link& link) {
  const bool own = hello.node_id == around_.ctx.node_id;
  std::string back;
  for (const std::string& a : hello.addresses) {
    const bool same_scheme = a.starts_with(hello.scheme + "://");
    if (!own && (back.empty() || same_scheme)) back = a;
    if (same_scheme) break;
  }
  auto target = backend::uri::parse(back);
  std::lock_guard lock(mutex_);
  record_ptr rec = add(back.empty() ? link.peer_address() : back, settings_of(around_.host.settings()),
                       hello.name.empty() ? hello.node_id : hello.name, [&] { return link.device(); });
  rec->self = own;
  rec->traced = back.empty();
  rec->scheme = hello.scheme;
  if (target) rec->target = *std::move(target);
  engine::session& s = *rec->session;
  s.home->with_baton([&] {
    s.dialable = !rec->target.scheme.empty();
    if (own) s.remote = {hello.node_id, hello.incarnation, hello.name, {}};
  });
  return rec;
}

}  // namespace kfx::cm
