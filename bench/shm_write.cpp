// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Writes into another process's allocated region beside a plain memcpy into the same file's pages, interleaved round
/// by round, in two processes on two cores. Prints the least and the median of both, and the ratio of the medians.
/// `kfx-shm-write [rounds [query]]`, where the query is of the client's URI ("bulk=ring").

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kfx/kfx.hpp"
#include "memory/slab.hpp"

namespace {

using clock_type = std::chrono::steady_clock;
constexpr std::size_t region_bytes = 16 << 20;

void pin(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  (void)sched_setaffinity(0, sizeof one, &one);
}

template <class F>
double nanoseconds(std::size_t times, F&& f) {
  const auto begin = clock_type::now();
  for (std::size_t i = 0; i < times; ++i) f(i);
  return std::chrono::duration<double, std::nano>(clock_type::now() - begin).count() / static_cast<double>(times);
}

struct series {
  std::vector<double> all;
  double median() {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }
};

int client(const std::string& uri, std::byte* mapped, std::size_t rounds) {
  pin(1);
  kfx::options o;
  o.progress = kfx::progress::caller;
  kfx::node n(o);
  const kfx::peer p = n.at(uri);
  const kfx::remote_region remote = p.open("memory").complete().value();
  std::vector<std::byte> source(1 << 20, std::byte{7});
  std::memset(mapped, 1, region_bytes);
  (void)p.write(source, remote.at(0, source.size())).complete().value();
  std::printf("%s\n%8s %12s %12s %12s %12s %6s\n", p.explain().c_str(), "bytes", "write min", "write med", "memcpy min",
              "memcpy med", "ratio");
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{4096}, std::size_t{65536}, std::size_t{1} << 20}) {
    const std::size_t times = std::max<std::size_t>(8, (4u << 20) / std::max<std::size_t>(bytes, 1024)) / 4;
    const std::size_t places = region_bytes / std::max<std::size_t>(bytes, 64);
    const auto at = [&](std::size_t i) { return i % places * std::max<std::size_t>(bytes, 64); };
    const kfx::const_buffer from(source.data(), bytes);
    series w, c;
    for (std::size_t r = 0; r < rounds + 2; ++r) {
      const double x =
          nanoseconds(times, [&](std::size_t i) { (void)p.write(from, remote.at(at(i), bytes)).complete().value(); });
      const double y = nanoseconds(times, [&](std::size_t i) {
        std::memcpy(mapped + at(i), source.data(), bytes);
        __asm__ __volatile__("" ::"r"(mapped) : "memory");
      });
      if (r < 2) continue;  // first touches
      w.all.push_back(x);
      c.all.push_back(y);
    }
    const double mw = w.median(), mc = c.median();
    std::printf("%8zu %9.0f ns %9.0f ns %9.0f ns %9.0f ns %6.2f\n", bytes, w.all.front(), mw, c.all.front(), mc,
                mw / mc);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200;
  const std::string query = argc > 2 ? std::string("?") + argv[2] : std::string();
  const std::string uri = "shm://kfx-shm-write-" + std::to_string(::getpid());
  // A forked child has the same mapping.
  const auto slab = kfx::memory::slab::make({region_bytes, -1, false});
  int ready[2];
  if (::pipe(ready) != 0) return 1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    char c;
    return ::read(ready[0], &c, 1) == 1 ? client(uri + query, slab->data(), rounds) : 1;
  }
  pin(0);
  kfx::node n({.listen = {uri}});
  const kfx::region r = n.share(kfx::mutable_buffer(slab->data(), region_bytes), kfx::access::read_write);
  n.publish("memory", r);
  if (::write(ready[1], "r", 1) != 1) return 1;
  int status = 1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
