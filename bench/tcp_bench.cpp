// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx over TCP beside a raw socket program: two processes on two cores, the two interleaved round by round, medians
/// and their ratio printed. `kfx-tcp-bench [rounds [part of a line's name]]`.

#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kfx_load.hpp"
#include "raw_socket.hpp"

namespace {

using namespace bench;

enum class job : unsigned { quit, echo, take, give, gathered, kfx_caller, kfx_threads };
struct order {
  job what;
  unsigned n;
  std::size_t bytes, back;
};

void pin(int cpu) {
  cpu_set_t allowed, one;
  sched_getaffinity(0, sizeof allowed, &allowed);
  CPU_ZERO(&one);
  int seen = 0, last = -1;
  for (int c = 0; c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(c, &allowed)) {
      last = c;
      if (seen++ == cpu) break;
    }
  CPU_SET(last, &one);
  sched_setaffinity(0, sizeof one, &one);
}

/// The other process: does what it is told until told to quit.
void child(int control, int raw_fd) {
  pin(1);
  server caller(kfx::progress::caller, "tcp://127.0.0.1:0");
  server threads(kfx::progress::threads, "tcp://127.0.0.1:0");
  std::string both = caller.address() + ' ' + threads.address();
  both.resize(256);
  if (write(control, both.data(), both.size()) != 256) return;
  order o{};
  while (read(control, &o, sizeof o) == sizeof o && o.what != job::quit) {
    switch (o.what) {
      case job::echo:
        raw::answer_round_trips(raw_fd, o.bytes, o.back, o.n);
        break;
      case job::take:
        raw::take_stream(raw_fd, o.bytes, o.n);
        break;
      case job::give:
        raw::give_stream(raw_fd, o.bytes, o.n);
        break;
      case job::gathered:
        raw::take_gathered(raw_fd, o.bytes, 32, o.n);
        break;
      case job::kfx_caller:
        caller.serve();
        break;
      default:
        threads.serve();
        break;
    }
  }
}

struct lab {
  int control;
  int raw_fd;
  unsigned rounds;
  std::string only;
  std::unique_ptr<client> caller, threads;

  void tell(job what, unsigned n = 0, std::size_t bytes = 0, std::size_t back = 0) const {
    const order o{what, n, bytes, back};
    if (write(control, &o, sizeof o) != sizeof o) std::exit(1);
  }
};

struct spread {
  double low, median, high;
};
spread of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return {v.front(), v[v.size() / 2], v.back()};
}

/// One line: the reference, kfx in both modes, and the ratios of the pairs.
void compare(lab& l, const char* name, const char* unit, bool lower_is_better, const std::function<double()>& reference,
             const std::function<double(client&)>& ours) {
  if (std::string(name).find(l.only) == std::string::npos) return;
  std::vector<double> ref, caller, threads, r_caller, r_threads;
  for (unsigned i = 0; i <= l.rounds; ++i) {
    const double r = reference();
    l.tell(job::kfx_caller);
    const double c = ours(*l.caller);
    l.caller->quit();
    l.tell(job::kfx_threads);
    const double t = ours(*l.threads);
    l.threads->quit();
    if (i == 0) continue;  // the first one warms up
    ref.push_back(r);
    caller.push_back(c);
    threads.push_back(t);
    r_caller.push_back(c / r);
    r_threads.push_back(t / c);
  }
  const spread c = of(r_caller), t = of(r_threads);
  std::printf("%-34s %9.3f %9.3f %9.3f %-6s  caller/raw %.2f (%.2f..%.2f)  threads/caller %.2f (%.2f..%.2f) %s\n", name,
              of(ref).median, of(caller).median, of(threads).median, unit, c.median, c.low, c.high, t.median, t.low,
              t.high, lower_is_better ? "lower is better" : "higher is better");
  std::fflush(stdout);
}

void idle(lab& l) {
  (void)l;
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  sleep(2);
  getrusage(RUSAGE_SELF, &after);
  const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  const double used = us(after.ru_utime) + us(after.ru_stime) - us(before.ru_utime) - us(before.ru_stime);
  std::printf("idle, connected: %.3f %% of a CPU, %ld context switches in 2 s\n", used / 2e6 * 100,
              after.ru_nvcsw - before.ru_nvcsw);
}

void run(lab& l) {
  std::printf("%-34s %9s %9s %9s\n", "", "raw", "caller", "threads");
  const auto trips = [&](std::size_t bytes, std::size_t back, unsigned n, double scale) {
    return [&l, bytes, back, n, scale] {
      l.tell(job::echo, n, bytes, back);
      return raw::round_trips(l.raw_fd, bytes, back, n) / scale / 1000;
    };
  };
  compare(l, "8 B send to handler, one way", "us", true, trips(8, 8, 20000, 2),
          [](client& c) { return c.one_way(20000) / 1000; });
  compare(l, "8 B write, submit to completion", "us", true, trips(8, 8, 20000, 1),
          [](client& c) { return c.write_done(8, 20000) / 1000; });
  compare(l, "4 KiB write, submit to completion", "us", true, trips(4096, 8, 20000, 1),
          [](client& c) { return c.write_done(4096, 20000) / 1000; });
  compare(l, "8 B send, submit to completion", "us", true, trips(8, 8, 20000, 1),
          [](client& c) { return c.send_done(8, 20000) / 1000; });
  compare(
      l, "1 MiB writes", "GB/s", false,
      [&] {
        l.tell(job::take, 2000, 1 << 20);
        return raw::stream_out(l.raw_fd, 1 << 20, 2000);
      },
      [](client& c) { return c.writes(1 << 20, 8, 2000); });
  compare(
      l, "1 MiB reads", "GB/s", false,
      [&] {
        l.tell(job::give, 2000, 1 << 20);
        return raw::stream_in(l.raw_fd, 1 << 20, 2000);
      },
      [](client& c) { return c.reads(1 << 20, 8, 2000); });
  const auto gathered = [&] {
    l.tell(job::gathered, 64000, 4096);
    return raw::gather(l.raw_fd, 4096, 32, 64000);
  };
  compare(l, "4 KiB writes, depth 32", "GB/s", false, gathered, [](client& c) { return c.writes(4096, 32, 64000); });
  compare(l, "8 B sends, depth 512 (raw: 4 KiB)", "M/s", false, gathered,
          [](client& c) { return c.sends(512, 500000); });
  idle(l);
}

}  // namespace

int main(int argc, char** argv) {
  int control[2], raw_fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control)) return 1;
  raw::connect_pair(raw_fds);
  const pid_t pid = fork();
  if (pid == 0) {
    close(control[0]);
    close(raw_fds[0]);
    child(control[1], raw_fds[1]);
    _exit(0);
  }
  close(control[1]);
  close(raw_fds[1]);
  pin(0);
  std::string both(256, '\0');
  if (read(control[0], both.data(), both.size()) != 256) return 1;
  both.resize(std::strlen(both.c_str()));
  const auto space = both.find(' ');
  int status = 0;
  {
    lab l{control[0], raw_fds[0], argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 7, argc > 2 ? argv[2] : "",
          nullptr,    nullptr};
    l.tell(job::kfx_caller);
    l.caller = std::make_unique<client>(kfx::progress::caller, both.substr(0, space));
    l.caller->quit();
    l.threads = std::make_unique<client>(kfx::progress::threads, both.substr(space + 1));
    run(l);
    l.tell(job::quit);
  }
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
