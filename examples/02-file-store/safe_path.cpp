// SPDX-License-Identifier: BSD-2-Clause
#include "safe_path.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <atomic>

#include "part_file.hpp"
#include "protocol.hpp"

namespace store {
namespace {

std::atomic<bool> kernel_resolves{true};

constexpr int always = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

/// -1 and errno, as open(2).
int resolve_by_kernel(int root, const std::string& path, int flags, links l, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | (flags & O_PATH ? O_CLOEXEC : always));
  how.mode = (flags & O_CREAT) ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (l == links::none ? RESOLVE_NO_SYMLINKS : 0);
  // EAGAIN: something was renamed while a ".." of a symlink was resolved, so the kernel could not be sure.
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt == 64) return static_cast<int>(fd);
  }
}

int resolve_by_walking(int root, const std::string& path, int flags, mode_t mode) {
  // Clean paths have none; the kernel would refuse them too.
  if (("/" + path + "/").find("/../") != path.npos || path.starts_with('/')) {
    errno = EPERM;
    return -1;
  }
  if (path.empty()) return ::openat(root, ".", flags | always, mode);
  unique_fd at;
  int dir = root;
  std::size_t from = 0;
  for (std::size_t slash; (slash = path.find('/', from)) != path.npos; from = slash + 1) {
    const std::string name = path.substr(from, slash - from);
    unique_fd next(::openat(dir, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return -1;
    at = std::move(next);
    dir = at.get();
  }
  return ::openat(dir, path.c_str() + from, flags | O_NOFOLLOW | always, mode);
}

/// Asked once: old kernels do not know the call, and some sandboxes forbid it.
bool have_openat2(int root) {
  static const bool have = [root] {
    const unique_fd probe(resolve_by_kernel(root, "", O_PATH | O_DIRECTORY, links::none, 0));
    return probe || (errno != ENOSYS && errno != EPERM);
  }();
  return have;
}

}  // namespace

void use_openat2(bool yes) noexcept { kernel_resolves = yes; }

std::string clean_path(std::string_view path) {
  if (path.size() > max_path) fail(ENAMETOOLONG, "path");
  if (path.starts_with('/')) fail(EPERM, "an absolute path");
  if (path.find('\0') != path.npos) fail(EINVAL, "a NUL in a path");
  std::string clean;
  clean.reserve(path.size());
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == path.npos ? std::string_view{} : path.substr(slash + 1);
    if (name.empty() || name == ".") continue;
    if (name.size() > max_name) fail(ENAMETOOLONG, "path component");
    if (!good_name(name)) fail(EPERM, "path");
    if (!clean.empty()) clean += '/';
    clean += name;
  }
  return clean;
}

std::string join(std::string_view a, std::string_view b) {
  std::string path(a);
  if (!a.empty() && !b.empty() && !a.ends_with('/')) path += '/';
  return path += b;
}

split split_path(const std::string& clean) {
  const std::size_t slash = clean.rfind('/');
  if (slash == clean.npos) return {"", clean};
  return {clean.substr(0, slash), clean.substr(slash + 1)};
}

unique_fd open_beneath(int root, const std::string& clean, int flags, links l, mode_t mode) {
  unique_fd fd(kernel_resolves && have_openat2(root) ? resolve_by_kernel(root, clean, flags, l, mode)
                                                     : resolve_by_walking(root, clean, flags, mode));
  // EXDEV is how the kernel says that a symlink led out.
  if (!fd) fail(errno == EXDEV ? EPERM : errno, "open");
  return fd;
}

unique_fd open_dir(int root, const std::string& clean, links l) {
  return open_beneath(root, clean, O_RDONLY | O_DIRECTORY, l);
}

namespace {
unique_fd regular(unique_fd fd) {
  struct stat st {};
  check(::fstat(fd.get(), &st), "fstat");
  if (S_ISDIR(st.st_mode)) fail(EISDIR, "open");
  if (!S_ISREG(st.st_mode)) fail(EINVAL, "not a regular file");
  return fd;
}
}  // namespace

unique_fd open_file(int root, const std::string& clean, links l) {
  return regular(open_beneath(root, clean, O_RDONLY, l));
}

unique_fd open_file_at(int dir, const char* name) {
  unique_fd fd(::openat(dir, name, O_RDONLY | O_NOFOLLOW | always));
  if (!fd) fail(errno, "open");
  return regular(std::move(fd));
}

unique_fd make_dirs(int root, const std::string& clean, bool* existed) {
  if (existed) *existed = true;
  try {
    unique_fd there = open_dir(root, clean);
    struct stat st {};
    check(::fstat(there.get(), &st), "fstat");
    // Read-only directories of an earlier run are filled again; their mode comes back with their attributes.
    if (!clean.empty() && (st.st_mode & 0700) != 0700) (void)!::fchmod(there.get(), (st.st_mode & 07777) | 0700);
    return there;
  } catch (const std::system_error& e) {
    if (e.code().value() != ENOENT) throw;
  }
  if (existed) *existed = false;
  const split where = split_path(clean);
  const unique_fd parent = make_dirs(root, where.parent);
  if (::mkdirat(parent.get(), where.leaf.c_str(), 0700) != 0 && errno != EEXIST) fail(errno, "mkdir");
  unique_fd made(::openat(parent.get(), where.leaf.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) fail(errno, "open directory");
  return made;
}

}  // namespace store
