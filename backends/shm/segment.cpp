// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/mapped_twice.hpp"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010  // Linux 5.1
#endif

namespace kfx::shm {
namespace {

std::string failed(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

}  // namespace

descriptor read_only(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

mapping::mapping(int fd, std::size_t bytes, bool writable) noexcept : bytes_(bytes) {
  void* p = ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) return;
  // A child must not write into rings that its parent uses.
  ::madvise(p, bytes, MADV_DONTFORK);
  data_ = static_cast<std::byte*>(p);
  base::mapped(p, bytes, fd);
}

mapping::~mapping() {
  if (!data_) return;
  base::unmapped(data_);
  ::munmap(data_, bytes_);
}

std::optional<shared_pages> make_shared_pages(std::size_t bytes, bool writable, std::string& why) {
  descriptor file(::memfd_create("kfx", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) {
    why = failed("memfd_create");
    return {};
  }
  // Others than the owner cannot open it anew through /proc with more rights than they were given.
  if (::fchmod(file.get(), 0600) != 0 || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    why = failed("making room in a memory file");
    return {};
  }
  mapping own(file.get(), bytes, true);
  if (!own) {
    why = failed("mmap");
    return {};
  }
  const int size = F_SEAL_SHRINK | F_SEAL_GROW;
  if (::fcntl(file.get(), F_ADD_SEALS, size | (writable ? 0 : F_SEAL_FUTURE_WRITE) | F_SEAL_SEAL) != 0) {
    why = failed("sealing a memory file");
    return {};
  }
  if (!writable)
    // Without /proc the seal alone has to do.
    if (descriptor weaker = read_only(file.get())) file = std::move(weaker);
  return shared_pages{std::move(own), std::move(file)};
}

bool is_sealed_file(const descriptor& d, std::size_t bytes, std::string& why) {
  const int seals = ::fcntl(d.get(), F_GET_SEALS);
  struct stat st {};
  if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
    why = "the peer's memory can shrink: reading it could fault";
    return false;
  }
  if (::fstat(d.get(), &st) != 0 || st.st_size != static_cast<off_t>(bytes)) {
    why = "the peer's memory has not the size it said";
    return false;
  }
  return true;
}

std::optional<mapping> map_given(const descriptor& d, std::size_t bytes, bool writable, std::string& why) {
  if (!is_sealed_file(d, bytes, why)) return {};
  mapping m(d.get(), bytes, writable);
  if (!m) {
    why = failed("mmap of the peer's memory");
    return {};
  }
  return m;
}

}  // namespace kfx::shm
