// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx perf: what is asked for, and in which order it is measured.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>

#include "command.hpp"
#include "perf_child.hpp"
#include "perf_client.hpp"
#include "perf_report.hpp"
#include "perf_server.hpp"
#include "plot.hpp"
#include "units.hpp"

namespace tool {
namespace {

using namespace tool::perf;

struct arguments {
  bool server = false, fork = false, persist = false, all_sizes = false, json = false, csv = false;
  std::string uri;
  std::vector<perf::test> tests;
  std::vector<std::uint64_t> sizes;
  std::vector<unsigned> depths;
  kfx::progress progress = kfx::progress::caller;
  std::optional<kfx::progress> server_progress;
  memory local = memory::allocated;
  std::optional<memory> remote;
  std::optional<std::uint64_t> header;
  std::uint64_t footprint = 0;
  std::uint64_t count = 0;
  std::optional<std::uint64_t> warm_up;
  double seconds = 1, timeout = 10;
  int cpu = -1, server_cpu = -1;
  std::string plot_file, plot_what;
};

const std::map<std::string, perf::test> tests{{"send-oneway", test::send_oneway},
                                              {"notify-oneway", test::notify_oneway},
                                              {"write8-oneway", test::write8_oneway},
                                              {"send", test::send},
                                              {"call", test::call},
                                              {"write", test::write},
                                              {"notify", test::notify},
                                              {"write8", test::write8},
                                              {"read", test::read}};

std::atomic<bool> interrupted{false};

int serve(const arguments& a) {
  if (a.cpu >= 0) pin(a.cpu);
  for (const int s : {SIGINT, SIGTERM}) std::signal(s, [](int) { interrupted = true; });
  perf::server s({.uri = a.uri, .progress = a.progress, .persist = a.persist, .stop = &interrupted});
  fmt::print("listening {}\n", s.address());
  std::fflush(stdout);
  s.serve();
  return 0;
}

/// What a message of that size is made of.
void compose(test_case& c, const arguments& a) {
  const bool message = c.test == test::send || c.test == test::send_oneway;
  if (c.test == test::call) {
    c.header = a.header.value_or(8);
  } else if (message && !a.header && c.size <= bare_header) {
    c.header = c.size;
  } else if (message) {
    c.header = a.header.value_or(8);
    c.payload = c.size;
  } else {
    c.header = 0;
  }
}

std::vector<test_case> plan(const arguments& a) {
  std::vector<perf::test> wanted = a.tests;
  if (wanted.empty()) wanted = {test::send_oneway, test::send, test::write, test::read};
  std::vector<std::uint64_t> sizes = a.sizes;
  if (a.all_sizes)
    for (std::uint64_t s = 8; s <= 4u << 20; s *= 2) sizes.push_back(s);
  if (sizes.empty()) sizes = {8, 4096, 65536, 1u << 20};
  std::vector<unsigned> depths = a.depths;
  if (depths.empty()) depths = {1, 16};
  std::vector<test_case> list;
  for (const perf::test t : wanted)
    for (const unsigned depth : one_way(t) ? std::vector<unsigned>{1} : depths)
      for (const std::uint64_t size : sizes) {
        test_case c{.test = t, .size = size, .depth = depth};
        if (t == test::write8 || t == test::write8_oneway) {
          if (size != sizes.front()) continue;
          c.size = 8;
        }
        compose(c, a);
        list.push_back(c);
      }
  return list;
}

/// On a terminal, for who waits.
void tell_progress(std::size_t at, const std::vector<test_case>& list) {
  if (!::isatty(STDERR_FILENO)) return;
  if (at == list.size()) return fmt::print(stderr, "\r\033[K");
  const test_case& c = list[at];
  fmt::print(stderr, "\r\033[K[{}/{}] {} {} depth {} ", at + 1, list.size(), name_of(c.test), size_text(c.size),
             c.depth);
  std::fflush(stderr);
}

void draw(const arguments& a, const report& r) {
  if (a.plot_file.empty()) return;
  // One figure for both would hide what depth is for.
  const bool deep = std::any_of(r.rows().begin(), r.rows().end(), [](const outcome& o) { return o.what.depth > 1; });
  const bool bandwidth = a.plot_what == "bandwidth" || (a.plot_what.empty() && deep);
  plot p{.title = fmt::format("kfx perf, {}, progress {}, memory {} here, {} there", a.uri.substr(0, a.uri.find(':')),
                              name_of(a.progress), name_of(a.local), name_of(a.remote.value_or(a.local))),
         .y_label = bandwidth ? "GB/s" : "median latency, us",
         .lines = {}};
  for (const outcome& o : r.rows()) {
    const std::string name =
        o.what.depth == 1 ? name_of(o.what.test) : fmt::format("{}, depth {}", name_of(o.what.test), o.what.depth);
    if (p.lines.empty() || p.lines.back().name != name) p.lines.push_back({name, {}});
    const double y = bandwidth ? o.bandwidth() / 1e9 : o.quantile_ns(0.5) / 1e3;
    if (y > 0) p.lines.back().points.emplace_back(static_cast<double>(o.what.size), y);
  }
  write_svg(p, a.plot_file);
}

/// Before an hour was spent on what goes there.
void check_plot_file(const std::string& path) {
  if (path.empty()) return;
  const bool there = ::access(path.c_str(), F_OK) == 0;
  const std::string folder = path.find('/') == std::string::npos ? "." : path.substr(0, path.rfind('/') + 1);
  if (::access(there ? path.c_str() : folder.c_str(), there ? W_OK : W_OK | X_OK) != 0)
    throw std::runtime_error(fmt::format("cannot write the chart to {}: {}", path, std::strerror(errno)));
}

int measure(arguments& a) {
  check_plot_file(a.plot_file);
  const std::vector<test_case> list = plan(a);
  // The child is made before this process has threads, and each side ties itself to its CPU.
  std::unique_ptr<own_server> own;
  if (a.fork) {
    own = std::make_unique<own_server>(server_options{.uri = a.uri, .progress = a.server_progress.value_or(a.progress)},
                                       a.server_cpu);
    a.uri = own->address();
  }
  if (a.cpu >= 0) pin(a.cpu);
  std::uint64_t largest = 8;
  unsigned deepest = 1;
  for (const test_case& c : list) {
    largest = std::max(largest, c.size);
    deepest = std::max(deepest, c.depth);
  }
  const client_options options{.uri = a.uri,
                               .progress = a.progress,
                               .local = a.local,
                               .remote = a.remote.value_or(a.local),
                               .footprint = a.footprint,
                               .timeout = a.timeout};
  perf::client c(options, largest, deepest);
  const std::string transport = c.transport();
  report r(a.csv    ? format::csv
           : a.json ? format::json
                    : format::table,
           {.uri = a.uri, .transport = transport, .options = options, .cpu = a.cpu, .server_cpu = a.server_cpu});
  r.begin();
  const effort e{.count = a.count,
                 .seconds = a.seconds,
                 .warm_up_count = a.warm_up.value_or(a.count / 10),
                 .warm_up_seconds = a.seconds / 10};
  for (std::size_t i = 0; i < list.size(); ++i) {
    tell_progress(i, list);
    const outcome o = c.run(list[i], e);
    tell_progress(list.size(), list);
    r.add(o);
  }
  c.bye();
  r.end();
  draw(a, r);
  return 0;
}

int run(arguments& a) {
  if (a.server) return serve(a);
  return measure(a);
}

void what_to_measure(CLI::App& c, arguments& a) {
  const CLI::Range sizes(std::uint64_t{1}, std::uint64_t{1} << 30);
  c.add_option("test", a.tests,
               "send-oneway, notify-oneway, write8-oneway, send, call, write, notify, write8, read; default: "
               "send-oneway send write read")
      ->transform(one_of(tests));
  auto* size = c.add_option("--size", a.sizes, "bytes of an op, separated by commas; default: 8,4KiB,64KiB,1MiB");
  size->delimiter(',')->transform(as_size())->check(sizes);
  c.add_flag("--all", a.all_sizes, "every power of two from 8 B to 4 MiB")->excludes(size);
  c.add_option("--depth", a.depths, "ops under way at once, separated by commas; default: 1,16")
      ->delimiter(',')
      ->check(CLI::Range(1, 65536));
  c.add_option("--header", a.header,
               "bytes of a message's header, the size then being its payload; default: up to 64 bytes are a header "
               "alone, more are a header of 8 and a payload")
      ->transform(as_size())
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{kfx::limits::header}));
  c.add_option("--footprint", a.footprint,
               "bytes of memory each side goes through in turn; default: a place for each op under way, up to 64 MiB")
      ->transform(as_size())
      ->check(sizes);
  auto* count = c.add_option("--count", a.count, "so many ops each instead of --time")->check(CLI::PositiveNumber);
  c.add_option("--time", a.seconds, "how long each test takes; default: 1s; a tenth more to warm up")
      ->transform(as_seconds())
      ->check(CLI::Range(1e-4, 86400.0))
      ->excludes(count);
  c.add_option("--warm-up", a.warm_up, "ops that do not count, with --count; default: a tenth")->needs(count);
}

void how_to_measure(CLI::App& c, arguments& a) {
  const std::map<std::string, kfx::progress> modes{{"caller", kfx::progress::caller},
                                                   {"threads", kfx::progress::threads}};
  const std::map<std::string, memory> memories{{"allocated", memory::allocated}, {"ordinary", memory::ordinary}};
  c.add_option("--progress", a.progress, "caller (polls all the time; default) or threads")->transform(one_of(modes));
  c.add_option("--server-progress", a.server_progress, "of the server that --fork starts; default: the same")
      ->transform(one_of(modes));
  c.add_option("--memory", a.local, "allocated (by node.allocate(); default) or ordinary")->transform(one_of(memories));
  c.add_option("--server-memory", a.remote, "of the other side; default: the same")->transform(one_of(memories));
  c.add_option("--cpu", a.cpu, "run on this CPU only")->check(CLI::NonNegativeNumber);
  c.add_option("--server-cpu", a.server_cpu, "and the server that --fork starts on that one")
      ->check(CLI::NonNegativeNumber);
  c.add_option("--timeout", a.timeout, "give up when the server is silent for so long; default: 10s")
      ->transform(as_seconds())
      ->check(CLI::Range(0.1, 86400.0));
}

}  // namespace

void add_perf(CLI::App& app, int& status) {
  auto a = std::make_shared<arguments>();
  CLI::App& c = *app.add_subcommand("perf", "measures latency, rate and bandwidth between two nodes");
  auto* server = c.add_flag("--server", a->server, "serve at the URI until the client is done");
  c.add_flag("--persist", a->persist, "with --server: go on until SIGINT or SIGTERM")->needs(server);
  c.add_flag("--fork", a->fork, "start the server at that URI as well: tcp://127.0.0.1:0, shm://*, loop://name")
      ->excludes(server);
  c.add_option("uri", a->uri, "the server's address, or with --server and --fork where it listens")->required();
  what_to_measure(c, *a);
  how_to_measure(c, *a);
  auto* json = c.add_flag("--json", a->json, "one JSON object");
  c.add_flag("--csv", a->csv, "comma-separated values")->excludes(json);
  c.add_option("--plot", a->plot_file, "write a chart of it to this SVG file");
  c.add_option("--plot-what", a->plot_what, "latency or bandwidth; default: bandwidth when a depth is above 1")
      ->check(CLI::IsMember({"latency", "bandwidth"}));
  c.callback([a, &status] { status = run(*a); });
}

}  // namespace tool
