// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx ping: round trips to a node that need nothing of its program. It asks for a region by a name that nobody
/// publishes: the engine of the other side answers that itself, without a handler and without an effect, in one frame
/// each way through session, framing and link. A message would run, or miss, the program's handler.

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <kfx/kfx.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "command.hpp"
#include "histogram.hpp"
#include "json.hpp"
#include "ticks.hpp"
#include "units.hpp"

namespace tool {
namespace {

struct arguments {
  bool listen = false, json = false, quiet = false;
  std::string uri;
  std::uint64_t count = 5;
  double interval = 0.2, timeout = 10;
  std::size_t size = 56;
};

std::atomic<bool> interrupted{false};

/// Ends a wait early, and lets what was found be told.
void catch_signals() {
  for (const int s : {SIGINT, SIGTERM}) std::signal(s, [](int) { interrupted = true; });
}

void pause_for(double seconds) {
  const auto end = kfx::clock::now() + std::chrono::duration<double>(seconds);
  while (!interrupted && kfx::clock::now() < end)
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(end - kfx::clock::now(), std::chrono::milliseconds(50)));
}

int listen(const arguments& a) {
  const kfx::node n({.listen = {a.uri}});
  for (const std::string& address : n.addresses()) fmt::print("listening {}\n", address);
  std::fflush(stdout);
  while (!interrupted) pause_for(3600);
  return 0;
}

/// One round trip; ticks.
std::uint64_t round_trip(const kfx::peer& p, const std::string& name, double timeout) {
  const std::uint64_t begin = ticks();
  auto o = p.open(name, {.deadline = std::chrono::duration<double>(timeout)});
  const auto r = o.complete();
  // That somebody publishes such a name is an answer as well.
  if (!r && r.error() != kfx::errc::not_found) throw std::runtime_error(o.explain());
  return ticks() - begin;
}

double us(double t) { return t * ns_per_tick() / 1e3; }

void tell(const arguments& a, const kfx::peer& p, double first, const histogram& h) {
  const auto at = [&h](double q) { return us(static_cast<double>(h.quantile(q))); };
  if (a.json) {
    print(json::object{
        {"uri", a.uri},
        {"transport", p.explain()},
        {"size", a.size},
        {"count", h.count()},
        {"connect_us", first},
        {"round_trip_us",
         json::object{{"min", at(0)}, {"mean", us(h.mean())}, {"p50", at(0.5)}, {"p99", at(0.99)}, {"max", at(1)}}}});
  } else {
    fmt::print(
        "{} round trips of {} B, us: min {:.2f}, avg {:.2f}, p50 {:.2f}, p99 {:.2f}, max {:.2f}; "
        "the first, with connecting: {:.0f}\n",
        h.count(), a.size, at(0), us(h.mean()), at(0.5), at(0.99), at(1), first);
  }
}

int ping(const arguments& a) {
  std::string name = "kfx ping ";
  name.resize(a.size, '.');
  // Nobody else can be in this process: it is its own other side.
  std::optional<kfx::node> other;
  if (a.uri.starts_with("loop:")) other.emplace(kfx::options{.listen = {a.uri}});
  kfx::node n;
  const kfx::peer p = n.at(a.uri);
  histogram h;
  const double first = us(static_cast<double>(round_trip(p, name, a.timeout)));
  if (!a.json && !a.quiet) fmt::print("{}\n", p.explain());
  for (std::uint64_t i = 0; i < a.count && !interrupted; ++i) {
    if (i != 0 && a.interval > 0) pause_for(a.interval);
    const std::uint64_t t = round_trip(p, name, a.timeout);
    h.record(t);
    if (!a.json && !a.quiet && a.interval > 0) {
      fmt::print("{}: {:.2f} us\n", i + 1, us(static_cast<double>(t)));
      std::fflush(stdout);
    }
  }
  tell(a, p, first, h);
  return 0;
}

}  // namespace

void add_ping(CLI::App& app, int& status) {
  auto a = std::make_shared<arguments>();
  CLI::App& c = *app.add_subcommand("ping", "round trips to any node that listens; its program notices nothing");
  auto* listen_flag = c.add_flag("--listen", a->listen, "be a node to be pinged at that URI, until SIGINT or SIGTERM");
  c.add_option("uri", a->uri, "the node: kfx://host:port, tcp://host:port, shm://name")->required();
  c.add_option("-c,--count", a->count, "round trips; default: 5")->check(CLI::PositiveNumber)->excludes(listen_flag);
  c.add_option("-i,--interval", a->interval, "time between them, 0: none; default: 200ms")
      ->transform(as_seconds())
      ->check(CLI::Range(0.0, 86400.0));
  c.add_option("-s,--size", a->size, "bytes that travel there; default: 56")
      ->check(CLI::Range(std::size_t{1}, kfx::limits::name));
  c.add_option("-W,--timeout", a->timeout, "give up on an answer after so long; default: 10s")
      ->transform(as_seconds())
      ->check(CLI::Range(0.001, 86400.0));
  c.add_flag("-q,--quiet", a->quiet, "the summary only");
  c.add_flag("--json", a->json, "one JSON object");
  c.callback([a, &status] {
    catch_signals();
    status = a->listen ? listen(*a) : ping(*a);
  });
}

}  // namespace tool
