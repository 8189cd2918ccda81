// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Copies: into memory both have mapped, into memory of another process, through a TCP connection.

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "raw_socket.hpp"
#include "reference_pair.hpp"

namespace bench::reference {

using namespace std::chrono_literals;

namespace {

constexpr std::array<std::size_t, 3> sizes{4096, 65536, 1u << 20};

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::string rate_name(std::size_t size) { return std::to_string(size) + "_bytes_per_second"; }

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class mapping {
 public:
  mapping(const descriptor& fd, std::size_t bytes)
      : bytes_(bytes), data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd.get(), 0)) {
    if (data_ == MAP_FAILED) fail("mmap");
  }
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  ~mapping() { ::munmap(data_, bytes_); }
  char* data() const { return static_cast<char*>(data_); }

 private:
  std::size_t bytes_;
  void* data_;
};

}  // namespace

figures copy(const place& p) {
  pin(p.cpu);
  const std::size_t bytes = 2 * sizes.back();
  const descriptor fd(::memfd_create("kfx-reference", MFD_CLOEXEC));
  if (fd.get() < 0 || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) fail("memfd_create");
  const mapping from(fd, bytes), to(fd, bytes);
  std::memset(from.data(), 1, bytes);
  figures out;
  for (const std::size_t size : sizes) {
    const double ns = time_of(p, 1ms, [&](unsigned n) {
      for (unsigned i = 0; i < n; ++i) {
        std::memcpy(to.data() + sizes.back(), from.data(), size);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // each copy is made
        asm volatile("" : : "r"(to.data()) : "memory");
      }
    });
    out[rate_name(size)] = static_cast<double>(size) / ns * 1e9;
  }
  return out;
}

figures process_vm(const place& p) {
  // At the same address in both, private to each.
  std::vector<char> here(sizes.back(), 1), there(sizes.back(), 2);
  std::array<int, 2> stop{};
  if (::pipe(stop.data()) != 0) fail("pipe");
  other_side other(p, [&] {
    ::close(stop[1]);
    std::memset(there.data(), 3, there.size());
    char c;
    while (::read(stop[0], &c, 1) < 0 && errno == EINTR) {
    }
  });
  const descriptor read_end(stop[0]);
  figures out;
  {
    const descriptor write_end(stop[1]);  // its closing ends the other side
    for (const std::size_t size : sizes) {
      const iovec from{here.data(), size}, to{there.data(), size};
      const double ns = time_of(p, 1ms, [&](unsigned n) {
        for (unsigned i = 0; i < n; ++i)
          if (::process_vm_writev(other.pid(), &from, 1, &to, 1, 0) != static_cast<ssize_t>(size))
            fail("process_vm_writev");
      });
      out[rate_name(size)] = static_cast<double>(size) / ns * 1e9;
    }
  }
  other.join();
  return out;
}

namespace {

/// What the other side is to do for one figure.
struct order {
  unsigned what = 0;  ///< 0: end, 1: answer, 2: take a stream, 3: give one, 4: take gathered records
  unsigned n = 0;
  std::size_t bytes = 0;
};

constexpr unsigned gathered_depth = 512;

void obey(int control, int fd) {
  for (order o; ::read(control, &o, sizeof o) == sizeof o && o.what != 0;) {
    if (o.what == 1) raw::answer_round_trips(fd, o.bytes, 8, o.n);
    if (o.what == 2) raw::take_stream(fd, o.bytes, o.n);
    if (o.what == 3) raw::give_stream(fd, o.bytes, o.n);
    if (o.what == 4) raw::take_gathered(fd, o.bytes, gathered_depth, o.n);
  }
}

}  // namespace

figures tcp(const place& p) {
  int ends[2];
  std::array<int, 2> control{};
  raw::connect_pair(ends);
  if (::pipe(control.data()) != 0) fail("pipe");
  const descriptor mine(ends[0]), its(ends[1]), hear(control[0]), tell(control[1]);
  other_side other(p, [&] {
    ::close(control[1]);
    obey(hear.get(), its.get());
  });
  const auto ask = [&](const order& o) {
    if (::write(tell.get(), &o, sizeof o) != sizeof o) fail("write");
  };
  figures out;
  const auto trip = [&](std::size_t bytes) {
    return time_of(p, 5ms, [&](unsigned n) {
      ask({1, n, bytes});
      raw::round_trips(mine.get(), bytes, 8, n);
    });
  };
  out["one_way_ns"] = trip(8) / 2;
  out["round_trip_ns"] = 2 * out["one_way_ns"];
  for (const std::size_t size : sizes) {
    out["write_" + rate_name(size)] = static_cast<double>(size) * 1e9 / time_of(p, 5ms, [&](unsigned n) {
                                        ask({2, n, size});
                                        raw::stream_out(mine.get(), size, n);
                                      });
    out["read_" + rate_name(size)] = static_cast<double>(size) * 1e9 / time_of(p, 5ms, [&](unsigned n) {
                                       ask({3, n, size});
                                       raw::stream_in(mine.get(), size, n);
                                     });
  }
  const double gathered = time_of(p, 5ms, [&](unsigned n) {
    ask({4, n * gathered_depth, 64});
    raw::gather(mine.get(), 64, gathered_depth, n * gathered_depth);
  });
  out["gathered_64_byte_records_per_second"] = gathered_depth * 1e9 / gathered;
  ask({});
  other.join();
  return out;
}

}  // namespace bench::reference
