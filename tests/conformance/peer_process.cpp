// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// A peer in a process of its own.
///
///     conformance-peer serve <listen-uri> <name>   shares "memory", counts messages and notifications by id
///     conformance-peer visit <uri>                 offers memory and sends a payload to that node, then waits
///
/// Descriptor 3 holds the counters (child.hpp). Prints one line when it is ready; ends at the end of its input.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "kfx/kfx.hpp"
#include "support/faults.hpp"

namespace {

constexpr std::size_t counters = 1u << 20;
constexpr std::byte poison{0xdb};

struct tag {
  std::uint64_t what = 0;
  std::uint64_t id = 0;
};

std::uint32_t* counts = nullptr;

void count(std::uint64_t id) {
  if (id < counters) std::atomic_ref(counts[id]).fetch_add(1);
}
void look_for_poison(kfx::const_buffer bytes) {
  if (std::find(bytes.begin(), bytes.end(), poison) != bytes.end()) count(counters - 1);
}

void wait_for_end_of_input() {
  char c = 0;
  while (::read(0, &c, 1) > 0) {
  }
}

void take(kfx::message m) {
  tag t;
  std::memcpy(&t, m.header().data(), std::min(m.header().size(), sizeof t));
  count(t.id);
  look_for_poison(m.header());
  if (m.payload_size() == 0) {
    if (m.wants_reply()) m.reply(m.header());
    return;
  }
  auto kept = std::make_shared<kfx::message>(std::move(m));
  auto into = std::make_shared<std::vector<std::byte>>(kept->payload_size());
  kept->receive(*into, [kept, into](boost::system::error_code e, kfx::done d) {
    look_for_poison(kfx::const_buffer(*into).first(e ? 0 : d.bytes));
    if (kept->wants_reply()) kept->reply(kept->header());
  });
}

int serve(const char* listen, const char* name) {
  kfx::options o;
  o.listen = {listen};
  o.name = name;
  kfx::node n(o);
  const kfx::buffer memory = n.allocate(8 << 20);
  n.on_message(take);
  n.on_notify([](const kfx::notification& x, const kfx::peer&) { count(x.imm); });
  const kfx::region r = n.share(memory.span(), kfx::access::read_write);
  n.publish("memory", r);
  const std::string scheme = std::string(listen).substr(0, std::string(listen).find("://") + 3);
  for (const std::string& a : n.addresses()) {
    if (!a.starts_with(scheme)) continue;
    std::printf("%s\n", a.c_str());
    std::fflush(stdout);
    break;
  }
  wait_for_end_of_input();
  return 0;
}

int visit(const char* uri) {
  kfx::node n;
  const kfx::peer p = n.at(uri);
  const kfx::buffer memory = n.allocate(1 << 20), payload = n.allocate(4 << 20);
  const kfx::offer o = p.offer(memory.span(), kfx::access::write);
  const auto header = o.token().encode();
  const auto sent = p.send(header, payload.span());
  std::printf("sent\n");
  std::fflush(stdout);
  wait_for_end_of_input();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  void* p = ::mmap(nullptr, counters * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
  if (p == MAP_FAILED || argc < 3) {
    std::fprintf(stderr, "usage: conformance-peer serve URI NAME | visit URI, with counters at descriptor 3\n");
    return 2;
  }
  counts = static_cast<std::uint32_t*>(p);
  kfx::test::register_test_backends();
  const std::string_view mode = argv[1];
  if (mode == "serve" && argc == 4) return serve(argv[2], argv[3]);
  if (mode == "visit") return visit(argv[2]);
  return 2;
}
