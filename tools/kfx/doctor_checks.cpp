// SPDX-License-Identifier: BSD-2-Clause
#include "doctor_checks.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <kfx/kfx.hpp>
#include <optional>

#include "units.hpp"

namespace tool {
namespace {

namespace fs = std::filesystem;

std::string error_text() { return std::strerror(errno); }

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<long> number_in(const std::string& path) {
  const std::string line = first_line(path);
  char* end = nullptr;
  const long n = std::strtol(line.c_str(), &end, 10);
  return end != line.c_str() ? std::optional(n) : std::nullopt;
}

/// For this user by name: '*' leaves out root.
std::string lasting_limit(const std::string& what) {
  const passwd* who = ::getpwuid(::geteuid());
  const std::string name = who ? who->pw_name : std::to_string(::geteuid()) + ":";
  return "echo '" + name + " - " + what + "' >> /etc/security/limits.d/kfx.conf";
}

std::string limit_text(rlim_t n) { return n == RLIM_INFINITY ? "unlimited" : size_text(n); }

/// Whether a child of this user may be written to, as peers of one host would be; errno says why not.
bool can_attach() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return false;
  char word = 1, other = 2;
  const pid_t child = ::fork();
  if (child == 0) {  // waits until its end of the pipe is closed
    ::close(ends[1]);
    char c;
    (void)!::read(ends[0], &c, 1);
    ::_exit(0);
  }
  const iovec from{&other, 1}, to{&word, 1};
  const bool good = child > 0 && ::process_vm_writev(child, &from, 1, &to, 1, 0) == 1;
  const int why = errno;
  ::close(ends[1]);
  ::close(ends[0]);
  if (child > 0) ::waitpid(child, nullptr, 0);
  errno = why;
  return good;
}

/// In /proc/meminfo; "" when it does not say.
std::string memory_figure(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(' ', name.size() + 1));
  return {};
}

}  // namespace

finding check_memlock() {
  rlimit l{};
  ::getrlimit(RLIMIT_MEMLOCK, &l);
  finding f{"memlock", state::ok, limit_text(l.rlim_cur) + " of memory may be locked", {}, {}};
  if (l.rlim_cur == RLIM_INFINITY || l.rlim_cur >= (rlim_t{1} << 30) || ::geteuid() == 0) return f;
  f.state = state::warning;
  f.wrong = "RDMA registers memory by locking it and fails beyond that; TCP and shared memory do not need it";
  f.remedy = "ulimit -l unlimited  (for good: " + lasting_limit("memlock unlimited") + ")";
  return f;
}

finding check_huge_pages() {
  const auto reserved = number_in("/proc/sys/vm/nr_hugepages");
  const std::string transparent = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  finding f{"huge pages", state::ok, {}, {}, {}};
  f.found = fmt::format("{} reserved, {} free; transparent: {}", reserved.value_or(0), memory_figure("HugePages_Free"),
                        transparent.empty() ? "not in this kernel" : transparent);
  const bool never = transparent.empty() || transparent.find("[never]") != std::string::npos;
  if (reserved.value_or(0) > 0 || !never) return f;
  f.state = state::warning;
  f.wrong = "large buffers of node.allocate() use small pages, which costs address translation";
  f.remedy = transparent.empty() ? "sysctl -w vm.nr_hugepages=512"
                                 : "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
  return f;
}

finding check_cross_memory() {
  const auto scope = number_in("/proc/sys/kernel/yama/ptrace_scope");
  finding f{"cross-memory attach", state::ok, {}, {}, {}};
  f.found = scope ? fmt::format("yama ptrace_scope {}", *scope) : std::string("no yama");
  if (!can_attach()) {
    f.state = state::warning;
    f.found += ", process_vm_writev refused: " + error_text();
    f.wrong = "memory that was not allocated by node.allocate() takes two copies between processes of this host";
    f.remedy = "sysctl -w kernel.yama.ptrace_scope=0  (in a container: --cap-add=SYS_PTRACE)";
    return f;
  }
  f.found += ", a child's memory can be written";
  // A child is always allowed with scope 1; peers are strangers to each other.
  if (scope.value_or(0) >= 1 && ::geteuid() != 0) {
    f.state = state::warning;
    f.wrong = "processes that are not each other's parent may not attach: ordinary memory takes two copies";
    f.remedy = "sysctl -w kernel.yama.ptrace_scope=0";
  }
  return f;
}

finding check_open_files() {
  rlimit l{};
  ::getrlimit(RLIMIT_NOFILE, &l);
  finding f{"open files", state::ok, fmt::format("{} at once (up to {})", l.rlim_cur, l.rlim_max), {}, {}};
  if (l.rlim_cur >= 4096) return f;
  f.state = state::warning;
  f.wrong = "each connection is a descriptor or more; a server with many peers runs out";
  f.remedy = fmt::format("ulimit -n {}", std::min<rlim_t>(l.rlim_max, 65536));
  if (l.rlim_max < 4096)
    f.remedy = lasting_limit("nofile 65536") + ", and log in again  (a service: LimitNOFILE=65536 in its unit)";
  return f;
}

finding check_shared_memory() {
  finding f{"shared memory", state::ok, {}, {}, {}};
  const int fd = ::memfd_create("kfx-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) {
    f.state = state::warning;
    f.found = "memfd_create: " + error_text();
    f.wrong = "processes of this host cannot share memory; they use TCP";
    f.remedy = "use a kernel from 3.17 on, and allow memfd_create in the container's seccomp profile";
    return f;
  }
  ::close(fd);
  struct statvfs st {};
  f.found = "memfd works";
  if (::statvfs("/dev/shm", &st) == 0)
    f.found += fmt::format("; /dev/shm has {} MiB free (kfx does not need it)", st.f_bavail * st.f_frsize >> 20);
  return f;
}

/// By listening there: which directory it is, and whether it is any good, is the backend's own knowledge.
finding check_socket_directory() {
  finding f{"socket directory", state::ok, {}, {}, {}};
  const auto directory_in = [](std::string address) {  // shm:///directory/name
    address = address.substr(0, address.find(": "));
    return address.substr(6, address.rfind('/') - 6);
  };
  try {
    const kfx::node n({.listen = {"shm://*"}});
    f.found = directory_in(n.addresses().front()) + ": shm://name has its socket there";
  } catch (const kfx::error& e) {
    const std::string said = e.what();
    const auto at = said.find("shm:///");
    const std::string directory = at == std::string::npos ? std::string() : directory_in(said.substr(at));
    f.found = said;
    if (e.code() == kfx::errc::no_backend) {
      f.state = state::absent;
      return f;
    }
    f.state = state::warning;
    f.wrong = "shm://name cannot be listened at, and kfx:// goes over TCP between processes of this host";
    std::error_code unknown;
    // The one in /run/user is where every program of this user looks, whatever its environment.
    f.remedy = !directory.empty() && fs::exists(directory, unknown)
                   ? "rm -r " + directory
                   : fmt::format("install -d -m 700 -o {0} /run/user/{0}  (as root)", ::geteuid());
  }
  return f;
}

finding check_rdma() {
  finding f{"RDMA devices", state::absent, "none", {}, {}};
  std::error_code e;
  std::string active, idle;
  for (const auto& d : fs::directory_iterator("/sys/class/infiniband", e)) {
    std::error_code no_ports;
    for (const auto& port : fs::directory_iterator(d.path() / "ports", no_ports)) {
      const std::string state = first_line(port.path() / "state");
      (state.find("ACTIVE") != std::string::npos ? active : idle) +=
          fmt::format(" {}/{} ({})", d.path().filename().string(), port.path().filename().string(), state);
    }
  }
  if (active.empty() && idle.empty()) return f;
  f.state = active.empty() ? state::warning : state::ok;
  f.found = "ports:" + active + idle;
  if (!active.empty()) return f;
  f.wrong = "no port is up";
  f.remedy = "rdma link show; ip link set <device> up";
  return f;
}

finding check_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  const int mine = CPU_COUNT(&set);
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  finding f{"CPUs", state::ok, fmt::format("{} of {} for this process", mine, online), {}, {}};
  if (mine >= 2) return f;
  f.state = state::warning;
  f.wrong = "a progress thread and the program take turns on one CPU: every hand-over is a context switch";
  f.remedy = online >= 2 ? fmt::format("taskset -c 0-{} <program>", online - 1) : "give the machine another CPU";
  return f;
}

finding check_backends() {
  finding f{"backends", state::ok, {}, {}, {}};
  for (const auto& b : kfx::backends()) {
    if (b.available) {
      f.found += (f.found.empty() ? "" : ", ") + b.name;
      continue;
    }
    f.state = state::warning;
    f.wrong += (f.wrong.empty() ? "" : "; ") + b.name + " is missing";
    f.remedy += (f.remedy.empty() ? "" : "; ") + b.why;
  }
  return f;
}

std::vector<finding> check_host() {
  return {check_backends(),         check_cpus(),         check_memlock(),
          check_open_files(),       check_huge_pages(),   check_shared_memory(),
          check_socket_directory(), check_cross_memory(), check_rdma()};
}

}  // namespace tool
