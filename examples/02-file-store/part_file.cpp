// SPDX-License-Identifier: BSD-2-Clause
#include "part_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>

#include <atomic>
#include <cstdio>

namespace store {
namespace {

std::atomic<bool> set_id_kept{false};

std::string part_name() {
  static const std::uint64_t base = [] {
    std::uint64_t v = 0;
    if (::getrandom(&v, sizeof v, 0) != sizeof v) v = static_cast<std::uint64_t>(::getpid()) << 32;
    return v;
  }();
  static std::atomic<std::uint64_t> counter{0};
  char text[40];
  std::snprintf(text, sizeof text, "%s%016llx", part_prefix.data(),
                static_cast<unsigned long long>(base + counter.fetch_add(1, std::memory_order_relaxed)));
  return text;
}

void set_times(int fd, const attributes& a) {
  const timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(a.mtime), static_cast<long>(a.mtime_ns)}};
  check(::futimens(fd, times), "set time");
}

/// Removes a name on the way out of a scope, unless told that it is gone.
struct name_guard {
  int dir;
  const std::string* name;
  ~name_guard() {
    if (name) ::unlinkat(dir, name->c_str(), 0);
  }
};

}  // namespace

void keep_set_id(bool yes) noexcept { set_id_kept = yes; }
std::uint32_t file_mode(std::uint32_t mode) noexcept { return mode & (set_id_kept ? 07777 : 01777); }

part_file::part_file(shared_dir dir, std::string leaf) : dir_(std::move(dir)), leaf_(std::move(leaf)) {
  for (;;) {
    part_ = part_name();
    fd_ = unique_fd(::openat(dir_->get(), part_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd_ && errno == EEXIST) continue;
    if (!fd_) {
      const int why = errno;
      part_.clear();
      fail(why, "create");
    }
    // A sweep may have seen it before the lock was on; then it is gone, and the next one will do.
    struct stat st {};
    errno = 0;
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 && ::fstat(fd_.get(), &st) == 0 && st.st_nlink > 0) return;
    if (errno == ENOLCK || errno == EOPNOTSUPP) return;
  }
}

part_file::~part_file() {
  if (!part_.empty()) ::unlinkat(dir_->get(), part_.c_str(), 0);
}

void part_file::publish(const attributes& a, bool sync) {
  check(::fchmod(fd(), file_mode(a.mode)), "set mode");
  set_times(fd(), a);
  if (sync) check(::fsync(fd()), "fsync");
  check(::renameat(dir_->get(), part_.c_str(), dir_->get(), leaf_.c_str()), "rename");
  part_.clear();
  if (sync) check(::fsync(dir_->get()), "fsync of the directory");
}

void write_small(int dir, const std::string& leaf, kfx::const_buffer content, const attributes& a, bool sync) {
  const std::uint32_t mode = file_mode(a.mode);
  for (int attempt = 0;; ++attempt) {
    const std::string part = part_name();
    // Created with its final mode (the program's umask is 0), which saves a call; no lock either: a sweep that
    // comes between is noticed by the rename.
    const unique_fd fd(::openat(dir, part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777));
    if (!fd && errno == EEXIST) continue;
    if (!fd) fail(errno, "create");
    name_guard guard{dir, &part};
    write_at(fd.get(), content, 0);
    if (mode & ~0777u) check(::fchmod(fd.get(), mode), "set mode");
    set_times(fd.get(), a);
    if (sync) check(::fsync(fd.get()), "fsync");
    if (::renameat(dir, part.c_str(), dir, leaf.c_str()) == 0) {
      guard.name = nullptr;
      if (sync) check(::fsync(dir), "fsync of the directory");
      return;
    }
    if (errno != ENOENT || attempt == 8) fail(errno, "rename");
  }
}

void write_symlink(int dir, const std::string& leaf, const std::string& target, const attributes& a) {
  for (int attempt = 0;; ++attempt) {
    const std::string part = part_name();
    if (::symlinkat(target.c_str(), dir, part.c_str()) != 0) {
      if (errno == EEXIST) continue;
      fail(errno, "symlink");
    }
    name_guard guard{dir, &part};
    const timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(a.mtime), static_cast<long>(a.mtime_ns)}};
    (void)!::utimensat(dir, part.c_str(), times, AT_SYMLINK_NOFOLLOW);
    if (::renameat(dir, part.c_str(), dir, leaf.c_str()) == 0) {
      guard.name = nullptr;
      return;
    }
    if (errno != ENOENT || attempt == 8) fail(errno, "rename");
  }
}

void set_directory(int dir, const attributes& a) {
  check(::fchmod(dir, a.mode & 07777), "set mode");
  set_times(dir, a);
}

void write_at(int fd, kfx::const_buffer bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    check(n, "write");
    if (n == 0) fail(ENOSPC, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

std::size_t read_at(int fd, kfx::mutable_buffer into, std::uint64_t offset) {
  std::size_t got = 0;
  while (got < into.size()) {
    const ssize_t n = ::pread(fd, into.data() + got, into.size() - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (check(n, "read") == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

namespace {
bool abandoned(int dir, const char* name) noexcept {
  struct stat st {};
  if (::fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (S_ISLNK(st.st_mode)) return true;  // lives for microseconds; its maker notices and makes another
  if (!S_ISREG(st.st_mode)) return false;
  const unique_fd fd(::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && ::unlinkat(dir, name, 0) == 0;
}
}  // namespace

std::size_t sweep(int dir) noexcept {
  const int again = ::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = again < 0 ? nullptr : ::fdopendir(again);
  if (!list) {
    if (again >= 0) ::close(again);
    return 0;
  }
  std::size_t removed = 0;
  while (const dirent* e = ::readdir(list))
    if (is_part_name(e->d_name) && abandoned(dir, e->d_name)) {
      ::unlinkat(dir, e->d_name, 0);  // for a symlink; a file is gone already, under the lock
      ++removed;
    }
  ::closedir(list);
  return removed;
}

}  // namespace store
