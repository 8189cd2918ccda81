// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What it costs to wake a node, and what it costs not to sleep: a message of 8 bytes, from before `send()` until it is
/// acknowledged, after pauses of several lengths, and the CPU time that the other process has spent meanwhile. Beside
/// it, two processes that block on pipes, one byte there and one back: what the system takes for two wake-ups.
///
///   kfx-wakeup [URI [CPU OTHER_CPU]]        default: shm://* 0 1

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <kfx/kfx.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "reference_pair.hpp"

namespace {

using namespace std::chrono_literals;
using bench::reference::clock;
using bench::reference::other_side;
using bench::reference::place;
using bench::reference::shared_pages;
using std::chrono::microseconds;

constexpr std::array pauses{microseconds(0), microseconds(20), microseconds(200), microseconds(5000),
                            microseconds(50000)};
constexpr auto each = 600ms;

/// A pipe that ends with it.
class pipe_pair {
 public:
  pipe_pair() {
    if (::pipe(ends_.data()) != 0) throw std::runtime_error("cannot make a pipe: " + std::string(std::strerror(errno)));
  }
  pipe_pair(const pipe_pair&) = delete;
  ~pipe_pair() {
    close_reading();
    close_writing();
  }
  /// False: the other end is closed.
  bool take() const {
    char byte;
    return ::read(ends_[0], &byte, 1) == 1;
  }
  void give() const {
    if (::write(ends_[1], "x", 1) != 1) throw std::runtime_error("the other process is gone");
  }
  void close_reading() { shut(ends_[0]); }
  void close_writing() { shut(ends_[1]); }

 private:
  static void shut(int& fd) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  std::array<int, 2> ends_{-1, -1};
};

double cpu_seconds(pid_t pid) {
  clockid_t of;
  timespec t{};
  if (::clock_getcpuclockid(pid, &of) != 0 || ::clock_gettime(of, &t) != 0)
    throw std::runtime_error("cannot read the CPU time of process " + std::to_string(pid));
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct figure {
  double median_us = 0, p90_us = 0, other_cpu = 0;
};

/// Short ones by looking at the clock: a sleep takes 60 us longer than it was asked for.
void wait_for(microseconds pause) {
  if (pause >= 100us) return std::this_thread::sleep_for(pause);
  for (const auto until = clock::now() + pause; clock::now() < until;) {
  }
}

figure measure(microseconds pause, pid_t other, const std::function<void()>& round) {
  std::vector<double> times;
  for (int i = 0; i < 20; ++i) round();
  const double cpu = cpu_seconds(other);
  const auto begin = clock::now();
  while (clock::now() - begin < each) {
    wait_for(pause);
    const auto t = clock::now();
    round();
    times.push_back(bench::reference::ns_since(t) / 1000);
  }
  figure f;
  f.other_cpu = (cpu_seconds(other) - cpu) / (bench::reference::ns_since(begin) * 1e-9);
  std::sort(times.begin(), times.end());
  f.median_us = times[times.size() / 2];
  f.p90_us = times[times.size() * 9 / 10];
  return f;
}

void print(const char* who, microseconds pause, const figure& f) {
  std::printf("%-34s %8lld %10.2f %10.2f %10.0f\n", who, static_cast<long long>(pause.count()), f.median_us, f.p90_us,
              100 * f.other_cpu);
  std::fflush(stdout);
}

void pipes(const place& p) {
  pipe_pair there, back;
  other_side other(p, [&] {
    there.close_writing();
    back.close_reading();
    while (there.take()) back.give();
  });
  there.close_reading();
  back.close_writing();
  for (const microseconds pause : pauses)
    print("two processes that block on pipes", pause, measure(pause, other.pid(), [&] {
            there.give();
            if (!back.take()) throw std::runtime_error("the other process is gone");
          }));
  there.close_writing();
  other.join();
}

/// The server is a node with threads of its own whose program does nothing else.
void kfx_pair(const std::string& uri, const place& p, kfx::progress mode) {
  const shared_pages address(4096);
  pipe_pair ready, over;
  other_side other(p, [&] {
    over.close_writing();
    kfx::node server({.listen = {uri}});
    server.on_message([](kfx::message) {});
    std::snprintf(address.as<char>(), 4096, "%s", server.addresses().front().c_str());
    ready.give();
    (void)over.take();
  });
  over.close_reading();
  if (!ready.take()) throw std::runtime_error("the server did not start");
  {
    kfx::node client({.progress = mode});
    const kfx::peer to = client.at(address.as<char>());
    const std::array<std::byte, 8> body{};
    for (const microseconds pause : pauses)
      print(mode == kfx::progress::caller ? "kfx, caller: complete() polls" : "kfx, threads: a waiter in complete()",
            pause, measure(pause, other.pid(), [&] {
              auto op = to.send(kfx::const_buffer(body));
              if (!op.complete()) throw std::runtime_error(op.explain());
            }));
  }
  over.close_writing();
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string uri = argc > 1 ? argv[1] : "shm://*";
    const place p{argc > 3 ? std::stoi(argv[2]) : 0, argc > 3 ? std::stoi(argv[3]) : 1};
    std::printf("%-34s %8s %10s %10s %10s\n", "8 bytes there, and the answer", "pause us", "median us", "p90 us",
                "other CPU%");
    pipes(p);
    kfx_pair(uri, p, kfx::progress::caller);
    kfx_pair(uri, p, kfx::progress::threads);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "kfx-wakeup: " << e.what() << '\n';
    return 1;
  }
}
