// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Peers in processes of their own: stopped, continued, killed, started again.

#include <unistd.h>

#include <cstdlib>
#include <deque>

#include "child.hpp"
#include "suite.hpp"

namespace kfx::test {
namespace {

constexpr std::uint64_t first_id = 1;

std::string name() { return "peer-" + std::to_string(::getpid()); }

/// A URI for clients, from what the child printed.
std::string client_uri(const child& c, const std::string& more = {}) {
  std::string q = under_test().query;
  for (auto at = q.find('#'); at != std::string::npos; at = q.find('#')) q.replace(at, 1, "7");
  if (!more.empty()) q += (q.empty() ? "" : "&") + more;
  return q.empty() ? c.says() : c.says() + "?" + q;
}

/// The URI to listen at again.
std::string same_place(const child& c) {
  const std::string listen = listen_uri();
  const auto query = listen.find('?');
  return query == std::string::npos ? c.says() : c.says() + listen.substr(query);
}

/// KFX_TEST_KILLS: for a long run.
std::uint64_t kill_rounds() {
  const char* text = std::getenv("KFX_TEST_KILLS");
  return text && *text ? std::strtoull(text, nullptr, 10) : 8;
}

struct subject {
  op<done> running;
  std::unique_ptr<guarded> source, sink;
};

/// Starts a random op on its own memory.
subject begin_one(const kfx::peer& p, const remote_region& remote, random_source& rng) {
  const std::size_t n = rng.size(1 << 20);
  const op_options o{.lane = static_cast<lane>(rng.below(3))};
  subject s;
  if (rng.one_in(3)) {
    s.sink = std::make_unique<guarded>(n);
    s.running = p.read(s.sink->span(), remote.at(o.lane * 2u << 20, n), o);
    return s;
  }
  s.source = std::make_unique<guarded>(n + sizeof(tag));
  s.source->fill(std::byte{0});
  const mutable_buffer header = s.source->part(0, sizeof(tag)), payload = s.source->part(sizeof(tag), n);
  s.running = rng.one_in(2) ? p.write(payload, remote.at(o.lane * 2u << 20, n), o) : p.send(header, payload, o);
  return s;
}

/// Ends it, and watches its memory from then on.
void end_one(subject& s, random_source& rng) {
  if (rng.one_in(2))
    s.running.cancel();
  else
    s.running = {};
  if (s.running.valid()) (void)outcome(s.running);
  if (s.source) s.source->fill(poison);
  if (s.sink) s.sink->forbid();
}

}  // namespace

TEST_CASE("a stopped process: ops end, their memory is quiet, and it goes on", "[process][processes]") {
  INFO("seed " << process_seed());
  random_source rng("stopped");
  shared_counts counts;
  child peer({"serve", listen_uri(), name()}, counts);
  REQUIRE_FALSE(peer.says().empty());
  host client(client_options());
  const kfx::peer p = client->at(client_uri(peer));
  const remote_region remote = must(p.open("memory"));
  std::deque<subject> graves;
  std::vector<std::byte> copy(8 << 20);
  for (std::size_t round = std::min<std::size_t>(repeats("KFX_TEST_ROUNDS", 1000) / 25, 40); round > 0; --round) {
    std::deque<subject> running;
    for (std::size_t i = rng.below(12); i > 0; --i) running.push_back(begin_one(p, remote, rng));
    peer.stop();
    for (std::size_t i = rng.between(1, 12); i > 0; --i) running.push_back(begin_one(p, remote, rng));
    for (subject& s : running) end_one(s, rng);
    peer.go_on();
    for (subject& s : running) graves.push_back(std::move(s));
    while (graves.size() > 64) graves.pop_front();
    for (lane l = 0; l < 3; ++l) must(p.write(noise().first(8), remote.at(0, 8), {.lane = l}));
  }
  must(p.read(copy, remote));
  CHECK(std::find(copy.begin(), copy.end(), poison) == copy.end());
  CHECK(counts.of(shared_counts::poison_slot) == 0);
}

TEST_CASE("a stopped process runs into the limit, a running one does not", "[process][processes]") {
  shared_counts counts;
  child peer({"serve", listen_uri(), name()}, counts);
  REQUIRE_FALSE(peer.says().empty());
  host client(client_options());
  const kfx::peer p = client->at(client_uri(peer, "limit=700ms"));
  const remote_region remote = must(p.open("memory"));
  const tag head{1, first_id};
  for (int round = 0; round < 3; ++round) {
    peer.stop();
    const auto begin = clock::now();
    auto o = p.write(noise().first(4 << 20), remote);
    auto with_deadline = p.send(head.bytes(), {}, {.deadline = 100ms});
    CHECK(error_of(with_deadline) == errc::timed_out);
    const auto e = error_of(o);
    INFO(o.explain());
    // What needs nothing of the peer's engine does not wait for it.
    if (e || !under_test().one_sided) {
      CHECK(e == errc::timed_out);
      CHECK(clock::now() - begin >= 600ms);
    }
    peer.go_on();
    must(p.write(noise().first(100), remote, {.deadline = 30s}));
  }
}

TEST_CASE("effects come once although the process is stopped again and again", "[process][processes]") {
  INFO("seed " << process_seed());
  random_source rng("once");
  shared_counts counts;
  child peer({"serve", listen_uri(), name()}, counts);
  REQUIRE_FALSE(peer.says().empty());
  host client(client_options());
  const kfx::peer p = client->at(client_uri(peer));
  const remote_region remote = must(p.open("memory"));
  const std::size_t total = repeats("KFX_TEST_OPS", 10000) / 4;
  std::vector<tag> headers(total + first_id);
  batch all;
  for (std::uint64_t id = first_id; id < total + first_id; ++id) {
    headers[id] = {1, id};
    if (rng.one_in(2))
      all.add(p.send(headers[id].bytes(), {}, {.lane = static_cast<lane>(id % 3)}));
    else
      all.add(p.write(noise().first(rng.size(5000)), remote, {.notify = id, .lane = 4}));
    if (!rng.one_in(200)) continue;
    peer.stop();
    const auto end = clock::now() + std::chrono::microseconds(rng.size(20000));
    while (clock::now() < end) std::this_thread::yield();
    peer.go_on();
  }
  const auto r = all.complete(patience);
  REQUIRE(all.ready());
  CHECK(r.has_value());
  // Notifications are told after their op is done.
  for (std::uint64_t id = first_id; id < total + first_id; ++id) {
    eventually([&] { return counts.of(id) >= 1; }, "an effect");
    REQUIRE(counts.of(id) == 1);
  }
}

TEST_CASE("a process killed in mid-traffic and started again", "[process][processes]") {
  INFO("seed " << process_seed());
  random_source rng("killed");
  shared_counts counts;
  auto peer = std::make_unique<child>(std::vector<std::string>{"serve", listen_uri(), name()}, counts);
  REQUIRE_FALSE(peer->says().empty());
  const std::string place = same_place(*peer);
  host client(client_options());
  counter restarted;
  client->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::restarted) restarted.add();
  });
  const kfx::peer p = client->at(client_uri(*peer));
  constexpr unsigned sends = 200;
  const std::uint64_t kills = kill_rounds();
  std::vector<tag> headers(first_id + kills * sends);
  std::uint64_t id = first_id;
  for (std::uint64_t round = 1; round <= kills; ++round) {
    const remote_region remote = must(p.open("memory"));
    std::vector<op<done>> ops;
    std::vector<std::uint64_t> ids;
    std::deque<guarded> sources;
    for (unsigned i = 0; i < sends; ++i, ++id) {
      headers[id] = {1, id};
      guarded& source = sources.emplace_back(rng.size(200000));
      source.fill(std::byte{5});
      ids.push_back(id);
      ops.push_back(p.send(headers[id].bytes(), source.span(), {.lane = static_cast<lane>(id % 3)}));
      if (i == 20) must(ops.front());
    }
    peer->kill();
    peer = std::make_unique<child>(std::vector<std::string>{"serve", place, name()}, counts);
    REQUIRE_FALSE(peer->says().empty());
    std::size_t lost = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const auto e = error_of(ops[i]);
      INFO(ops[i].explain());
      REQUIRE((!e || e == errc::peer_restarted));
      sources[i].fill(poison);
      lost += e ? 1 : 0;
      // One effect at most, in whichever life; a success is an effect.
      REQUIRE(counts.of(ids[i]) <= 1);
      if (!e) REQUIRE(counts.of(ids[i]) == 1);
    }
    // When all ops were faster than the kill, only a link that breaks tells.
    REQUIRE(restarted.reaches(round));
    must(p.send(headers[0].bytes()));
    CHECK(error_of(p.write(noise().first(8), remote.at(0, 8))) == errc::stale_region);
    for (const std::uint64_t x : ids) REQUIRE(counts.of(x) <= 1);
    UNSCOPED_INFO(lost << " ops were lost");
  }
  client.destroy();
}

TEST_CASE("a visitor that is killed: what concerns it ends", "[process][processes]") {
  std::mutex m;
  message kept;
  kfx::peer who;
  remote_region token;
  counter arrived, down;
  shared_counts counts;
  std::vector<std::byte> into(4 << 20);
  options o = server_options();
  o.limit = 2s;
  o.retention = 2s;
  host server(o);
  server->on_message([&](message msg) {
    std::lock_guard lock(m);
    who = msg.from();
    if (const auto t = remote_region::decode(msg.header())) token = *t;
    kept = std::move(msg);
    arrived.add();
  });
  server->on_peer([&](const kfx::peer&, peer_event e) {
    if (e == peer_event::down) down.add();
  });
  child visitor({"visit", uri_of(*server)}, counts);
  REQUIRE(visitor.says() == "sent");
  REQUIRE(arrived.reaches(1));
  visitor.stop();
  auto write = who.write(noise().first(1 << 20), token);
  auto read = kept.receive(into);
  visitor.kill();
  CHECK(down.reaches(1));
  CHECK(error_of(write));
  // Where nothing of the visitor's engine was needed, its payload is here.
  CHECK((error_of(read) || under_test().one_sided));
  CHECK_FALSE(write.explain().empty());
  kept = {};
  server.destroy();
}

}  // namespace kfx::test
