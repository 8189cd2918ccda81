// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "figure.hpp"
#include "proc.hpp"
#include "roles.hpp"

namespace bench::crowd {
namespace {

/// Of a node: its partition's and control thread's waits and clocks, with room for what connecting takes.
constexpr unsigned long files_of_node = 16;
/// A socket, and one to watch the other process; while the handshake lasts, those of the memory.
constexpr unsigned long files_of_connection = 4;
constexpr unsigned long others = 64;
constexpr double longest_greeting = 300;  // seconds

}  // namespace

std::string listen_uri(const std::string& transport) {
  if (transport == "shm") return "shm://*";
  if (transport == "tcp") return "tcp://127.0.0.1:0";
  throw std::runtime_error("no transport \"" + transport + "\" here: shm or tcp");
}

unsigned long files_of_hub(unsigned peers) { return others + files_of_node + files_of_connection * peers; }
unsigned long files_of_peers(unsigned nodes, unsigned connections) {
  return others + nodes * (files_of_node + files_of_connection * connections);
}

const char* name_of(kfx::progress p) noexcept { return p == kfx::progress::threads ? "threads" : "caller"; }

many::many(unsigned nodes, unsigned processes, unsigned connections, std::chrono::milliseconds keepalive) {
  processes = std::clamp(nodes, 1u, processes);
  const unsigned most = (nodes + processes - 1) / processes;
  allow_open_files(files_of_peers(most, connections));
  for (unsigned i = 0; i < processes; ++i) {
    const unsigned here = nodes / processes + (i < nodes % processes);
    processes_.push_back(std::make_unique<child>("process " + std::to_string(i) + " of the crowd",
                                                 [=](line& l) { be_peers(l, here, keepalive); }));
  }
  for (const auto& p : processes_) p->answer();  // its nodes are there
}

void many::add_answer(greeted& all, child& one) {
  std::istringstream words(one.answer(longest_greeting));
  std::uint64_t failed = 0;
  double seconds = 0;
  words >> failed >> seconds;
  all.failed += failed;
  if (failed != 0 && all.first_failure.empty()) std::getline(words >> std::ws, all.first_failure);
}

many::greeted many::greet(const std::string& uris, std::size_t bytes) {
  greeted all;
  const auto begun = kfx::clock::now();
  for (const auto& p : processes_) p->tell("greet " + std::to_string(bytes) + " " + uris);
  for (const auto& p : processes_) add_answer(all, *p);
  all.seconds = std::chrono::duration<double>(kfx::clock::now() - begun).count();
  return all;
}

void many::must_visit(const std::string& uris, std::size_t bytes) {
  greeted all;
  for (const auto& p : processes_) {
    p->tell("visit " + std::to_string(bytes) + " " + uris);
    add_answer(all, *p);
  }
  must(all);
}

void many::must(const greeted& all) {
  if (all.failed != 0) throw std::runtime_error(std::to_string(all.failed) + " ops failed: " + all.first_failure);
}

}  // namespace bench::crowd
