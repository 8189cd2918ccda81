// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx://host:port: meet over TCP, tell each other what there is, and move up to the best that reaches.

#include "cm/coroutines.hpp"
#include "cm/manager.hpp"

namespace kfx::cm {
namespace {

constexpr std::chrono::seconds question_limit(5);

void pass_over(std::string& list, std::string_view backend, const std::string& why) {
  list += (list.empty() ? "" : "; ") + std::string(backend) + " (" + why + ")";
}

const offer* find(const std::vector<offer>& offers, std::string_view backend) {
  for (const offer& o : offers)
    if (o.backend == backend) return &o;
  return nullptr;
}

std::string verdict_of(std::string_view taken, const std::string& passed) {
  return std::string(taken) + " is the best that reaches the peer" +
         (passed.empty() ? std::string() : "; passed over: " + passed);
}

}  // namespace

asio::awaitable<manager::outcome> manager::attempt_best(const record_ptr& rec) {
  backend::uri meeting = rec->target;
  meeting.scheme = "tcp";
  link_or_failure made = co_await dial(*backend::find_backend("tcp"), meeting);
  if (auto* f = std::get_if<backend::failure>(&made)) co_return outcome(f->lasting || f->code == errc::bad_uri, *f);
  const std::unique_ptr<raw_link> tcp = std::move(std::get<std::unique_ptr<raw_link>>(made));
  std::string chosen = "tcp is required";
  if (rec->require != "tcp") {
    std::string passed;
    const outcome o = co_await move_up(rec, *tcp, passed);
    if (o.next != then::hopeless || o.failure.code) co_return o;
    chosen = verdict_of("tcp", passed);
  }
  co_return co_await introduce(rec, *tcp, chosen);
}

/// Asks over the connection that is there what else the peer has, and tries that, best first. `hopeless` without a
/// failure: nothing better than this connection reaches it.
asio::awaitable<manager::outcome> manager::move_up(const record_ptr& rec, raw_link& tcp, std::string& passed) {
  greeting probe = self(wire::type::hello);
  probe.probe = true;
  const auto until = clock::now() + question_limit;
  const std::error_code unsent = co_await tcp.send(probe, until);
  if (unsent) co_return outcome(false, errc::unreachable, tcp.describe() + ": " + unsent.message());
  const heard answer = co_await tcp.receive(until);
  if (auto* f = std::get_if<backend::failure>(&answer))
    co_return outcome(f->code == errc::version_mismatch || f->code == errc::protocol_error, *f);
  const greeting& peer = std::get<greeting>(answer);
  if (peer.kind != wire::type::welcome) co_return refused(rec, peer);
  const std::string& require = rec->require;
  for (backend::backend* b : backend::all_backends()) {
    if (!require.empty() && b->name() != require) continue;
    if (require.empty() && b->name() == "tcp") break;  // what ranks below it is worse than what is there
    const outcome o = co_await attempt_one(rec, *b, peer, passed);
    if (o.next != then::hopeless) co_return o;
  }
  if (require.empty()) co_return then::hopeless;
  const outcome none(true, errc::no_backend,
                     rec->session->uri + " requires " + require + ", which does not reach the peer: " + passed);
  co_return none;
}

/// Tries one backend that ranks above the one the nodes met by. `hopeless`: not this one, and `passed` says why.
asio::awaitable<manager::outcome> manager::attempt_one(const record_ptr& rec, backend::backend& b, const greeting& peer,
                                                       std::string& passed) {
  backend::uri to;
  if (std::string why = no_way(b, peer, to); !why.empty()) {
    pass_over(passed, b.name(), why);
    co_return then::hopeless;
  }
  for (const auto& [key, value] : rec->target.query) to.query.emplace(key, value);
  link_or_failure made = co_await dial(b, to);
  if (auto* f = std::get_if<backend::failure>(&made)) {
    pass_over(passed, b.name(), f->why);
    co_return then::hopeless;
  }
  const std::unique_ptr<raw_link> link = std::move(std::get<std::unique_ptr<raw_link>>(made));
  const std::string chosen = verdict_of(b.name(), passed);
  const outcome o = co_await introduce(rec, *link, chosen);
  if (!o.failure.code) co_return o;
  // A link that breaks, or on which nobody answers, is no reason not to be connected at all.
  pass_over(passed, b.name(), o.failure.why);
  co_return then::hopeless;
}

/// How to reach the peer by that backend goes to `to`, or why there is no way is the answer.
std::string manager::no_way(backend::backend& b, const greeting& peer, backend::uri& to) {
  const offer* offered = find(peer.offers, b.name());
  if (!offered) return "the peer does not offer it";
  std::string why;
  if (!b.available(&why)) return why.empty() ? "it cannot work here" : why;
  auto way = b.reach(around_.ctx, {peer.node_id, peer.host_id, peer.process_id}, offered->address);
  if (auto* f = std::get_if<backend::failure>(&way)) return f->why;
  to = std::move(std::get<backend::uri>(way));
  return {};
}

}  // namespace kfx::cm
