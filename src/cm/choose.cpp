// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx://host:port: meet over TCP, tell each other what there is, and move up to the best that reaches.

#include "cm/manager.hpp"

namespace kfx::cm {
namespace {

constexpr std::chrono::seconds answer_limit(5);

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

asio::awaitable<manager::outcome> manager::attempt_best(record_ptr rec) {
  backend::uri meeting = rec->target;
  meeting.scheme = "tcp";
  link_or_failure made = co_await dial(*backend::find_backend("tcp"), meeting);
  if (auto* f = std::get_if<backend::failure>(&made)) {
    const bool hopeless = f->code == errc::not_found || f->code == errc::bad_uri;
    co_return outcome{hopeless ? outcome::hopeless : outcome::pause, std::move(*f)};
  }
  const std::unique_ptr<raw_link> tcp = std::move(std::get<std::unique_ptr<raw_link>>(made));
  std::string passed;
  if (rec->require != "tcp") {
    greeting probe = self(wire::type::hello);
    probe.probe = true;
    const auto until = clock::now() + answer_limit;
    if (auto e = co_await tcp->send(probe, until))
      co_return outcome{outcome::pause, {errc::unreachable, tcp->describe() + ": " + e.message()}};
    heard answer = co_await tcp->receive(until);
    if (auto* f = std::get_if<backend::failure>(&answer)) {
      const bool hopeless = f->code == errc::version_mismatch || f->code == errc::protocol_error;
      co_return outcome{hopeless ? outcome::hopeless : outcome::pause, std::move(*f)};
    }
    const greeting peer = std::move(std::get<greeting>(answer));
    if (peer.kind != wire::type::welcome) co_return refused(rec, peer);
    for (backend::backend* b : backend::all_backends()) {
      if (rec->require.empty() ? b->name() == "tcp" : b->name() != rec->require) {
        if (rec->require.empty()) break;  // what ranks below it is worse than what is there
        continue;
      }
      outcome o = co_await attempt_one(rec, *b, peer, passed);
      if (o.next != outcome::hopeless) co_return o;
    }
    if (!rec->require.empty())
      co_return outcome{outcome::hopeless,
                        {errc::no_backend, rec->session->uri + " requires " + rec->require +
                                               ", which does not reach the peer: " + passed}};
  }
  co_return co_await introduce(rec, *tcp, rec->require.empty() ? verdict_of("tcp", passed) : "tcp is required");
}

/// Tries one backend that ranks above the one the nodes met by. `hopeless`: not this one, and `passed` says why.
asio::awaitable<manager::outcome> manager::attempt_one(record_ptr rec, backend::backend& b, const greeting& peer,
                                                       std::string& passed) {
  const outcome next{outcome::hopeless};
  std::string why;
  const offer* offered = find(peer.offers, b.name());
  if (!offered) {
    pass_over(passed, b.name(), "the peer does not offer it");
    co_return next;
  }
  if (!b.available(&why)) {
    pass_over(passed, b.name(), why);
    co_return next;
  }
  auto way = b.reach(around_.ctx, {peer.node_id, peer.host_id, peer.process_id}, offered->address);
  if (auto* f = std::get_if<backend::failure>(&way)) {
    pass_over(passed, b.name(), f->why);
    co_return next;
  }
  backend::uri to = std::move(std::get<backend::uri>(way));
  for (const auto& [key, value] : rec->target.query) to.query.emplace(key, value);
  link_or_failure made = co_await dial(b, to);
  if (auto* f = std::get_if<backend::failure>(&made)) {
    pass_over(passed, b.name(), f->why);
    co_return next;
  }
  const std::unique_ptr<raw_link> link = std::move(std::get<std::unique_ptr<raw_link>>(made));
  outcome o = co_await introduce(rec, *link, verdict_of(b.name(), passed));
  // A link that breaks, or on which nobody kfx answers, is no reason not to be connected at all.
  if (o.failure.code && (o.next == outcome::pause || o.next == outcome::hopeless)) {
    pass_over(passed, b.name(), o.failure.why);
    co_return next;
  }
  co_return o;
}

}  // namespace kfx::cm
