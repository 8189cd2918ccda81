// SPDX-License-Identifier: BSD-2-Clause
#include "tree.hpp"

#include <fcntl.h>

#include <climits>
#include <memory>
#include <optional>
#include <vector>

#include "part_file.hpp"
#include "safe_path.hpp"

namespace store {

directory_reader::directory_reader(unique_fd dir, std::uint64_t cursor) : dir_(nullptr), cursor_(cursor) {
  if (cursor) check(::lseek(dir.get(), static_cast<off_t>(cursor), SEEK_SET), "seek in a directory");
  dir_ = ::fdopendir(dir.get());
  if (!dir_) fail(errno, "read a directory");
  dir.release();
}

directory_reader::~directory_reader() { ::closedir(dir_); }

int directory_reader::fd() const noexcept { return ::dirfd(dir_); }

const char* directory_reader::next_of_all() {
  for (;;) {
    errno = 0;
    const dirent* e = ::readdir(dir_);
    if (!e && errno) fail(errno, "read a directory");
    if (!e) return nullptr;
    cursor_ = static_cast<std::uint64_t>(e->d_off);
    const std::string_view name = e->d_name;
    if (name != "." && name != "..") return e->d_name;
  }
}

const char* directory_reader::next() {
  const char* name = next_of_all();
  while (name && is_part_name(name)) name = next_of_all();
  return name;
}

kind kind_of(const struct stat& st) noexcept {
  if (S_ISREG(st.st_mode)) return kind::file;
  if (S_ISDIR(st.st_mode)) return kind::directory;
  if (S_ISLNK(st.st_mode)) return kind::symlink;
  return kind::other;
}

entry describe(const struct stat& st) noexcept {
  entry e;
  e.kind = kind_of(st);
  e.mode = st.st_mode & 07777;
  e.size = static_cast<std::uint64_t>(st.st_size);
  e.mtime = st.st_mtim.tv_sec;
  e.mtime_ns = static_cast<std::uint32_t>(st.st_mtim.tv_nsec);
  e.inode = st.st_ino;
  if (st.st_blocks * 512 >= st.st_size) e.flags |= dense;
  return e;
}

namespace {

/// Reads the content to its place in the packet. Without a value: it is not as `e` says, or may not be read here.
std::optional<std::size_t> pack_content(packet_writer& to, int dir, const char* name, std::size_t length, entry& e) {
  if (e.size == 0) return 0;
  const unique_fd fd(::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) {
    // Out of descriptors: the client asks for it later, when there may be some.
    if (errno != EMFILE && errno != ENFILE) e.error = static_cast<std::uint32_t>(errno);
    return {};
  }
  // One byte more than expected tells whether it grew.
  const std::size_t n = read_at(fd.get(), to.room(length, e.size + 1), 0);
  if (n != e.size) return {};
  return n;
}

}  // namespace

packed pack(packet_writer& to, int dir, const char* name, bool content, entry& e) {
  const std::size_t length = std::strlen(name);
  if (!to.fits(length, 0)) return packed::no_room;
  struct stat st {};
  if (::fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return packed::gone;
    e = entry{.kind = kind::other, .error = static_cast<std::uint32_t>(errno)};
    to.add(e, name);
    return packed::added;
  }
  e = describe(st);
  std::size_t data = 0;
  if (e.kind == kind::symlink) {
    if (!to.fits(length, PATH_MAX)) return packed::no_room;
    const auto room = to.room(length, PATH_MAX);
    const ssize_t n = ::readlinkat(dir, name, reinterpret_cast<char*>(room.data()), room.size());
    if (n < 0)
      e.error = static_cast<std::uint32_t>(errno);
    else
      data = static_cast<std::size_t>(n);
  } else if (e.kind == kind::file && content && e.size <= inline_limit && (e.flags & dense)) {
    if (!to.fits(length, e.size + 1)) return packed::no_room;
    if (const auto n = pack_content(to, dir, name, length, e)) {
      e.flags |= has_content;
      data = *n;
    }
  }
  to.finish(e, name, data);
  return packed::added;
}

void unpack(int dir, const entry_view& v, bool sync) {
  const attributes a{v.head.mode, v.head.mtime, v.head.mtime_ns};
  const std::string name(v.name);
  if (!good_name(name)) fail(EPERM, "name");
  if (v.head.kind == kind::file && (v.head.flags & has_content)) return write_small(dir, name, v.data, a, sync);
  if (v.head.kind != kind::symlink) fail(EINVAL, "entry");
  const std::string target(reinterpret_cast<const char*>(v.data.data()), v.data.size());
  if (target.empty() || target.find('\0') != target.npos) fail(EINVAL, "symlink");
  write_symlink(dir, name, target, a);
}

namespace {

struct level {
  directory_reader reader;
  std::string name;
};

/// Holds one descriptor a level.
void remove_below(int parent, const std::string& name) {
  std::vector<std::unique_ptr<level>> stack;
  const auto enter = [&](int dir, const std::string& n) {
    unique_fd fd(::openat(dir, n.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) fail(errno, "open directory");
    stack.push_back(std::unique_ptr<level>(new level{directory_reader(std::move(fd)), n}));
  };
  enter(parent, name);
  while (!stack.empty()) {
    level& top = *stack.back();
    struct stat st {};
    // Not next(): the part files go too.
    if (const char* n = top.reader.next_of_all()) {
      if (::fstatat(top.reader.fd(), n, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (S_ISDIR(st.st_mode))
        enter(top.reader.fd(), n);
      else if (::unlinkat(top.reader.fd(), n, 0) != 0 && errno != ENOENT)
        fail(errno, "remove");
      continue;
    }
    const std::string done = top.name;
    stack.pop_back();
    const int above = stack.empty() ? parent : stack.back()->reader.fd();
    if (::unlinkat(above, done.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) fail(errno, "remove directory");
  }
}

}  // namespace

void remove_at(int dir, const std::string& name, bool recursive) {
  struct stat st {};
  check(::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW), "stat");
  if (!S_ISDIR(st.st_mode)) {
    check(::unlinkat(dir, name.c_str(), 0), "remove");
  } else if (!recursive) {
    check(::unlinkat(dir, name.c_str(), AT_REMOVEDIR), "remove directory");
  } else {
    remove_below(dir, name);
  }
}

std::size_t sweep_tree(int root) {
  std::size_t removed = 0;
  std::vector<std::string> pending{""};
  while (!pending.empty()) {
    const std::string path = std::move(pending.back());
    pending.pop_back();
    try {
      directory_reader reader(open_dir(root, path));
      removed += sweep(reader.fd());
      while (const char* name = reader.next()) {
        struct stat st {};
        if (::fstatat(reader.fd(), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
          pending.push_back(join(path, name));
      }
    } catch (const std::system_error&) {
      // A directory that cannot be read, or vanished, holds nothing that we could remove.
    }
  }
  return removed;
}

}  // namespace store
