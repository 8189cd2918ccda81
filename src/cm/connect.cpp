// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// The connecting side: attempts, one at a time for each session, until it has a link or nobody wants it any more.

#include <algorithm>
#include <optional>

#include "base/random.hpp"
#include "cm/coroutines.hpp"
#include "cm/manager.hpp"

namespace kfx::cm {
namespace {

/// A backend bounds an attempt to about 10 s itself.
constexpr std::chrono::seconds dial_limit(12);
constexpr std::chrono::seconds welcome_limit(5);
constexpr std::chrono::seconds longest_pause(1);
/// Answers like "begin afresh" are followed at once, unless they do not end.
constexpr unsigned most_at_once = 4;

/// Trying again cannot help.
bool is_hopeless(const backend::failure& f) {
  const std::error_code e = f.code;
  return f.lasting || e == errc::version_mismatch || e == errc::protocol_error || e == errc::bad_uri ||
         e == errc::bad_option || e == errc::no_backend || e == errc::not_supported || e == errc::refused;
}

/// Sets a flag and clears it again, however a coroutine ends.
class raised {
 public:
  explicit raised(bool& flag) : flag_(flag) { flag_ = true; }
  ~raised() { flag_ = false; }
  raised(const raised&) = delete;
  raised& operator=(const raised&) = delete;

 private:
  bool& flag_;
};

}  // namespace

void manager::begin_connecting(const record_ptr& rec) {
  // Ops that wait for a link have a limit, whether or not there is anything to connect to.
  around_.host.want_ticks();
  if (stopping_ || rec->connecting || rec->target.scheme.empty()) return;
  rec->connecting = true;
  spawn(connect(rec));
}

asio::awaitable<void> manager::connect(record_ptr rec) {
  const raised busy(rec->connecting);
  clock::duration wait = rec->session->settings.backoff;
  unsigned at_once = 0;
  while (!stopping_ && still_wanted(*rec)) {
    outcome o = co_await attempt(rec);
    if (o.failure.code) note(*rec, o.failure);
    // A name may go and come with its host: who was there before is waited for.
    if (o.failure.lasting && was_met(*rec)) o.next = then::pause;
    if (o.next == then::linked) co_return;
    if (o.next == then::hopeless) {
      give_up(*rec, o.failure);
      co_return;
    }
    if (o.next == then::expect) {
      co_await expect_incoming(rec);
    } else if (o.next == then::pause || ++at_once == most_at_once) {
      at_once = 0;
      co_await pause(rec, wait);
    }
  }
}

/// There are ops for it, and it has no link.
bool manager::still_wanted(record& rec) {
  engine::session& s = *rec.session;
  return s.home->with_baton([&] { return !s.stopped.load() && s.wanting() && !s.linked(); });
}

/// There was a session with it, in whatever life of its.
bool manager::was_met(record& rec) {
  engine::session& s = *rec.session;
  return s.home->with_baton([&] { return s.remote.incarnation != 0; });
}

void manager::note(record& rec, const backend::failure& why) {
  engine::session& s = *rec.session;
  s.home->with_baton([&] {
    s.last_failure = why.why;
    s.last_failure_code = why.code;
    ++s.attempts;
  });
}

void manager::give_up(record& rec, const backend::failure& why) {
  engine::session& s = *rec.session;
  s.home->with_baton([&] {
    if (!s.linked()) s.reset(why.code, true);
  });
}

/// Between attempts: doubling, and spread so that many who lost the same peer do not come back in step.
asio::awaitable<void> manager::pause(const record_ptr& rec, clock::duration& wait) {
  const auto part = static_cast<clock::rep>(base::random_u64() % 512);
  rec->changed.expires_after(wait / 2 + wait * part / 1024);
  wait = std::min<clock::duration>(2 * wait, std::max<clock::duration>(wait, longest_pause));
  co_await rec->changed.async_wait(quiet);
}

/// The peer's own attempt won; it should be here soon.
asio::awaitable<void> manager::expect_incoming(const record_ptr& rec) {
  rec->changed.expires_after(longest_pause);
  co_await rec->changed.async_wait(quiet);
}

asio::awaitable<manager::outcome> manager::attempt(const record_ptr& rec) {
  rec->since = clock::now();
  const raised under_way(rec->dialling);
  if (rec->target.scheme == "kfx") co_return co_await attempt_best(rec);
  backend::backend* b = backend::find_backend(rec->target.scheme);
  if (!b) {
    const outcome none(true, errc::no_backend, "there is no backend \"" + rec->target.scheme + "\" in this process");
    co_return none;
  }
  link_or_failure made = co_await dial(*b, rec->target);
  if (auto* f = std::get_if<backend::failure>(&made)) co_return outcome(is_hopeless(*f), *f);
  const std::unique_ptr<raw_link> link = std::move(std::get<std::unique_ptr<raw_link>>(made));
  const std::string chosen = "the URI names " + rec->target.scheme;
  co_return co_await introduce(rec, *link, chosen);
}

/// One connection by one backend.
asio::awaitable<manager::link_or_failure> manager::dial(backend::backend& b, const backend::uri& to) {
  struct box {
    explicit box(asio::io_context& io) : ready(io) {}
    asio::steady_timer ready;
    std::optional<std::variant<backend::channel, backend::failure>> got;
  };
  // Outlives this coroutine when the backend answers too late.
  const auto answer = std::make_shared<box>(io_);
  answer->ready.expires_after(dial_limit);
  b.connect(around_.ctx, to, [answer](std::variant<backend::channel, backend::failure> r) {
    answer->got.emplace(std::move(r));
    answer->ready.cancel();
  });
  co_await answer->ready.async_wait(quiet);
  link_or_failure end = backend::failure{
      errc::timed_out, "connecting to " + to.to_string() + " took too long; is there a firewall that drops packets?"};
  if (!answer->got) co_return end;
  if (auto* f = std::get_if<backend::failure>(&*answer->got))
    end = std::move(*f);
  else
    end = std::make_unique<raw_link>(io_, std::move(std::get<backend::channel>(*answer->got)));
  co_return end;
}

greeting manager::hello_of(record& rec) {
  greeting g = self(wire::type::hello);
  g.scheme = rec.scheme;
  g.separate = rec.separate;
  engine::session& s = *rec.session;
  s.home->with_baton([&] {
    g.resume = s.id != 0;
    g.session = s.id;
    g.taken = g.resume ? s.taken() : 0;
    g.epoch = s.next_epoch();
  });
  if (g.resume) return g;
  if (rec.proposed == 0) rec.proposed = base::random_u64();
  g.session = rec.proposed;
  g.previous = rec.id;
  return g;
}

/// The handshake on a link that is there.
asio::awaitable<manager::outcome> manager::introduce(const record_ptr& rec, raw_link& link, const std::string& chosen) {
  if (!still_wanted(*rec)) co_return then::linked;
  const std::uint64_t ticket = ++rec->ticket;
  const greeting hello = hello_of(*rec);
  const auto until = clock::now() + welcome_limit;
  const std::error_code unsent = co_await link.send(hello, until);
  if (unsent) co_return outcome(false, errc::unreachable, link.describe() + ": " + unsent.message());
  const heard answer = co_await link.receive(until);
  if (rec->ticket != ticket) co_return then::again;  // the peer's own attempt came first
  if (auto* f = std::get_if<backend::failure>(&answer)) co_return outcome(is_hopeless(*f), *f);
  const greeting& g = std::get<greeting>(answer);
  if (g.kind == wire::type::refuse) co_return refused(rec, g);
  if (g.kind == wire::type::welcome && !g.probe) co_return welcomed(rec, ticket, link, hello, g, chosen);
  const outcome odd(true, errc::protocol_error, link.describe() + ": a hello was answered with " + wire::name(g.kind));
  co_return odd;
}

manager::outcome manager::welcomed(const record_ptr& rec, std::uint64_t ticket, raw_link& link, const greeting& hello,
                                   const greeting& welcome, const std::string& chosen) {
  engine::session& s = *rec->session;
  const bool restarted = meet(*rec, welcome);
  const bool fits = s.home->with_baton([&] {
    if (s.linked()) return false;
    if (hello.resume && welcome.lost && s.id != 0) s.reset(make_error_code(errc::session_lost), false);
    const bool fresh = restarted || welcome.lost || !hello.resume;
    const bool same = fresh ? s.id == 0 && welcome.taken == 0 : s.id == hello.session && s.plausible(welcome.taken);
    if (!same && s.id != 0) s.reset(make_error_code(errc::session_lost), false);
    if (same) s.chosen = chosen;
    return same;
  });
  if (!fits) {
    if (rec->proposed != 0) rec->given_up = std::exchange(rec->proposed, 0);
    return then::again;
  }
  if (attach(rec, ticket, link, welcome, welcome.taken, welcome)) return then::linked;
  return then::again;
}

manager::outcome manager::refused(const record_ptr& rec, const greeting& answer) {
  const std::error_code code = make_error_code(static_cast<errc>(answer.reason ? answer.reason : int(errc::refused)));
  engine::session& s = *rec->session;
  switch (answer.why) {
    case refusal::race:
      return then::expect;
    case refusal::already:
      // When that session is this one it came in meanwhile and is resumed; else a second one is meant.
      rec->separate = true;
      return then::again;
    case refusal::lost:
      rec->proposed = 0;
      s.home->with_baton([&] {
        if (!s.linked() && s.id != 0) s.reset(make_error_code(errc::session_lost), false);
      });
      return then::again;
    case refusal::other:
      break;
  }
  backend::failure why{code, rec->target.to_string() + " refused the connection: " + answer.sentence};
  const bool hopeless = is_hopeless(why);
  return {hopeless, std::move(why)};
}

}  // namespace kfx::cm
