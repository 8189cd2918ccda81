// SPDX-License-Identifier: BSD-2-Clause
#include "proc.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench::crowd {
namespace {

/// The number behind `key`, which the file must have.
std::uint64_t field(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string word; in >> word;) {
    if (word != key) continue;
    std::uint64_t value = 0;
    in >> value;
    return value;
  }
  throw std::runtime_error(path + " cannot be read, or has no " + key);
}

/// Pages of a mapping that its file has. Whoever touched them: what counts is that they are there.
std::uint64_t resident(std::uintptr_t from, std::uintptr_t to) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> there((to - from) / page);
  if (::mincore(reinterpret_cast<void*>(from), to - from, there.data()) != 0)
    throw std::runtime_error("mincore of a ring failed");
  std::uint64_t n = 0;
  for (const unsigned char t : there) n += t & 1;
  return n * page;
}

}  // namespace

memory_use memory_of(pid_t pid) {
  const std::string at = "/proc/" + std::to_string(pid);
  memory_use m;
  m.anonymous = field(at + "/status", "RssAnon:") * 1024;
  m.page_tables = field(at + "/status", "VmPTE:") * 1024;
  m.proportional = field(at + "/smaps_rollup", "Pss:") * 1024;
  return m;
}

wakeups wakeups_of(pid_t pid) {
  wakeups all;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    all[name] += field(task.path() / "status", "voluntary_ctxt_switches:");
  }
  return all;
}

std::uint64_t shared_memory_touched() {
  std::uint64_t bytes = 0;
  std::set<std::uint64_t> seen;  // a file that is mapped twice counts once
  std::ifstream in("/proc/self/maps");
  for (std::string text; std::getline(in, text);) {
    std::uintptr_t from = 0, to = 0;
    std::uint64_t inode = 0;
    if (text.find("/memfd:kfx") == std::string::npos) continue;
    if (std::sscanf(text.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &from, &to, &inode) != 3) continue;
    if (seen.insert(inode).second) bytes += resident(from, to);
  }
  return bytes;
}

void allow_open_files(std::uint64_t needed) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= needed) return;
  throw std::runtime_error("a process may open " + std::to_string(limit.rlim_max) + " files at most, and " +
                           std::to_string(needed) +
                           " are needed: raise the hard limit (ulimit -Hn), or ask for fewer peers (--peers)");
}

}  // namespace bench::crowd
