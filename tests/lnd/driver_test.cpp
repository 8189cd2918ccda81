// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What the driver makes of kfx's errors, its parameters, and where its completions run.

#include <sched.h>

#include <algorithm>
#include <map>
#include <thread>

#include "kfx/error.hpp"
#include "status.hpp"
#include "suite.hpp"

namespace lnd_test {
namespace {

constexpr unsigned portal = 9;
constexpr unsigned takes = lnet::md_op_put | lnet::md_manage_remote;
using lnet::health_status;

std::vector<unsigned> cpus_of_thread() {
  cpu_set_t set;
  std::vector<unsigned> list;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return list;
  for (unsigned c = 0; c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(c, &set)) list.push_back(c);
  return list;
}

}  // namespace

TEST_CASE("each of kfx's errors has an errno and somebody whose fault it is", "[driver]") {
  const std::vector<std::pair<kfx::errc, health_status>> expected{
      {kfx::errc::timed_out, health_status::network_timeout},
      {kfx::errc::unreachable, health_status::remote_dropped},
      {kfx::errc::refused, health_status::remote_dropped},
      {kfx::errc::peer_restarted, health_status::remote_error},
      {kfx::errc::session_lost, health_status::remote_error},
      {kfx::errc::dropped, health_status::remote_error},
      {kfx::errc::stale_region, health_status::remote_error},
      {kfx::errc::node_stopped, health_status::local_aborted},
      {kfx::errc::cancelled, health_status::local_aborted},
      {kfx::errc::revoked, health_status::local_aborted},
      {kfx::errc::out_of_resources, health_status::local_error},
      {kfx::errc::too_many_fragments, health_status::local_error}};
  for (const auto& [code, health] : expected) {
    const kfxlnd::status s = kfxlnd::status_of(make_error_code(code));
    INFO(make_error_code(code).message());
    CHECK(s.health == health);
    CHECK(s.error < 0);
  }
  CHECK(kfxlnd::status_of({}).error == 0);
  const kfxlnd::status answer = kfxlnd::status_of(std::make_error_code(std::errc::no_message_available));
  CHECK(answer.error == -ENODATA);
  CHECK(answer.health == health_status::ok);
}

TEST_CASE("parameters that make no sense stop an NI from starting", "[driver]") {
  const std::string uri = uri_pattern();
  const auto start = [&](std::map<std::string, std::string, std::less<>> tunables, const char* networks) {
    lnet::host_options o;
    o.tunables = std::move(tunables);
    endpoint e(uri, networks, std::move(o));
  };
  CHECK_NOTHROW(start({}, "kfx(127.0.0.1)"));
  CHECK_THROWS_AS(start({{"timeout", "0"}}, "kfx(127.0.0.1)"), std::system_error);
  CHECK_THROWS_AS(start({{"timeout", "soon"}}, "kfx(127.0.0.1)"), std::system_error);
  CHECK_THROWS_AS(start({{"min_rdma", "-1"}}, "kfx(127.0.0.1)"), std::system_error);
  CHECK_THROWS_AS(start({{"uri", "nothing"}}, "kfx(127.0.0.1)"), std::system_error);
  CHECK_THROWS_AS(start({}, "kfx(no-such-interface)"), std::system_error);
  endpoint there(uri, 1);
  CHECK_THROWS_AS(start({}, "kfx(127.0.0.1)"), std::system_error);  // it is taken
}

TEST_CASE("an interface is found by its name", "[driver]") {
  const std::string uri = uri_pattern();
  endpoint e(uri, "kfx(lo)");
  CHECK(e.id().nid == nid_of(1));
}

TEST_CASE("completions run on the CPTs of their NI", "[driver]") {
  const auto mine = cpus_of_thread();
  if (mine.size() < 2) {
    WARN("skipped: it needs two CPUs, here is one");
    return;
  }
  const std::string uri = uri_pattern();
  const std::string first = std::to_string(mine[0]), second = std::to_string(mine[1]);
  for (const unsigned cpt : {0u, 1u}) {
    std::mutex m;  // what follows has a last event
    std::vector<unsigned> seen;
    lnet::host_options o;
    o.cpu_pattern = "0[" + first + "] 1[" + second + "]";
    endpoint b(uri, "kfx(127.0.0.2)[" + std::to_string(cpt) + "]", o);
    endpoint c(uri, "kfx(127.0.0.3)");
    std::vector<std::byte> source(100), sink(100);
    const auto queue = std::make_shared<lnet::event_queue>([&](const event&) {
      std::lock_guard lock(m);
      seen = cpus_of_thread();
    });
    lnet::me_handle me;
    lnet::md_handle md;
    REQUIRE(b.host->me_attach(portal, {}, 0, ~0ull, lnet::unlink_op::unlink, lnet::insert_position::after, me) == 0);
    REQUIRE(b.host->md_attach(me, {list_of(sink), lnet::threshold_infinite, 0, takes, nullptr, queue},
                              lnet::unlink_op::unlink, md) == 0);
    REQUIRE(c.host->put(lnet::nid::any(), bind_md(c, list_of(source), 2), lnet::ack_request::ack, b.id(), portal, 0, 0,
                        0) == 0);
    CHECK(c.next(event_type::ack).status == 0);
    std::lock_guard lock(m);
    CHECK(seen == std::vector<unsigned>{mine[cpt]});
  }
}

TEST_CASE("a peer that goes while nobody speaks to it is known to be gone", "[driver]") {
  const std::string uri = uri_pattern();
  endpoint a(uri, 1);
  auto b = std::make_unique<endpoint>(uri, 2);
  std::vector<std::byte> source(100), sink(100);
  attach_md(*b, portal, list_of(sink), takes);
  REQUIRE(a.host->put(lnet::nid::any(), bind_md(a, list_of(source), 2), lnet::ack_request::ack, b->id(), portal, 0, 0,
                      0) == 0);
  CHECK(a.next(event_type::ack).status == 0);
  const auto up = [&] {
    const auto peers = a.host->peers();
    return !peers.empty() && peers[0].nis.at(0).up;
  };
  CHECK(up());
  b.reset();
  const auto end = std::chrono::steady_clock::now() + patience;
  while (up() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  CHECK_FALSE(up());
}

TEST_CASE("each message ends once, whatever happens to its connection", "[driver]") {
  INFO("seed " << seed());
  std::mt19937_64 rng(seed());
  const std::string uri = uri_pattern();
  std::vector<std::byte> source(50000), sink(50000), there(50000);
  endpoint a(uri, 1, {.transaction_timeout = 4s, .retry_count = 1}), b(uri, 2);
  attach_md(b, portal, list_of(sink), takes);
  attach_md(b, portal + 1, list_of(there), lnet::md_op_get | lnet::md_manage_remote);
  std::map<std::uint64_t, unsigned> puts, gets;  // events of each MD, by its cookie
  std::map<std::uint64_t, std::vector<std::byte>> fetched;
  const std::size_t n = 50 * rounds(20);
  std::size_t under_way = 0;
  const auto take = [&] {
    const event e = a.next();
    if (e.unlinked) {
      --under_way;
      fetched.erase(e.md.cookie);
    }
    auto& seen = puts.count(e.md.cookie) ? puts : gets;
    CHECK(++seen[e.md.cookie] <= 2);
    CHECK((e.status == 0 || e.status == -ECONNRESET || e.status == -ECANCELED || e.status == -ETIMEDOUT));
  };
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t size = rng() % 2 ? rng() % 100 : 5000 + rng() % 40000;
    const bool get = rng() % 2;
    std::vector<std::byte> own(get ? size : 0);
    const lnet::fragment_list memory{get ? lnet::fragment(own) : lnet::fragment(source).first(size)};
    const auto md = bind_md(a, memory, get ? 2 : 1);
    if (get) fetched.emplace(md.cookie, std::move(own));
    (get ? gets : puts)[md.cookie] = 0;
    const int rc = get ? a.host->get(lnet::nid::any(), md, b.id(), portal + 1, 0, 0)
                       : a.host->put(lnet::nid::any(), md, lnet::ack_request::no_ack, b.id(), portal, 0, 0, 0);
    REQUIRE(rc == 0);
    ++under_way;
    if (rng() % 25 == 0) {
      lnet::control c;
      c.what = lnet::control::close_connection;
      (void)(rng() % 2 ? a : b).host->control({lnet::kind_kfx, 0}, c);
    }
    while (under_way > 32) take();
  }
  while (under_way > 0) take();
  CHECK(a.quiet());
  const auto end = std::chrono::steady_clock::now() + patience;
  while (a.host->stats().allocated != 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  CHECK(a.host->stats().allocated == 0);
}

}  // namespace lnd_test
