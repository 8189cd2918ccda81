// SPDX-License-Identifier: BSD-2-Clause
#include "control_socket.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <system_error>

namespace lnet {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

int open_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

/// Holds off other servers that start at the same time in the same folder, and leaves nothing behind.
descriptor lock_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) fail(errno, "control socket " + path + ": cannot open its folder");
  while (::flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) fail(errno, "control socket " + path + ": cannot lock its folder");
  return fd;
}

/// Removes a socket at which nobody listens any more.
void clear_path(const std::string& path, const sockaddr_un& address) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) {
    if (errno == ENOENT) return;
    fail(errno, "control socket " + path);
  }
  if (!S_ISSOCK(there.st_mode)) fail(EEXIST, "control socket " + path + ": something else is there");
  const descriptor probe(open_socket());
  if (!probe) fail(errno, "control socket " + path);
  // A full backlog (EAGAIN) is a server that lives.
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno != ECONNREFUSED)
    fail(EADDRINUSE, "control socket " + path + ": another server is there");
  if (::unlink(path.c_str()) != 0) fail(errno, "control socket " + path + ": cannot remove what a dead server left");
}

}  // namespace

control_socket::control_socket(std::string path) : path_(std::move(path)) {
  sockaddr_un address{};
  if (!unix_address(path_, address))
    fail(ENAMETOOLONG, "control socket \"" + path_ + "\": the path has no or more than " +
                           std::to_string(sizeof address.sun_path - 1) + " characters");
  const descriptor lock = lock_folder(path_);
  clear_path(path_, address);
  fd_ = descriptor(open_socket());
  if (!fd_) fail(errno, "control socket " + path_);
  // Before it has a name: bind gives the file this mode, without a moment in which others may connect.
  if (::fchmod(fd_.get(), S_IRUSR | S_IWUSR) != 0) fail(errno, "control socket " + path_ + ": cannot restrict it");
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail(errno, "control socket " + path_ + ": cannot bind");
  const bool seen = ::lstat(path_.c_str(), &made_) == 0;
  if (seen && ::listen(fd_.get(), 16) == 0) return;
  const int error = errno;
  ::unlink(path_.c_str());
  fail(error, "control socket " + path_ + ": cannot listen");
}

control_socket::~control_socket() {
  struct stat there {};
  if (::lstat(path_.c_str(), &there) == 0 && there.st_dev == made_.st_dev && there.st_ino == made_.st_ino)
    ::unlink(path_.c_str());
}

descriptor control_socket::accept(int& error) const {
  descriptor client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  error = client ? 0 : errno;
  if (!client) return {};
  ucred who{};
  socklen_t bytes = sizeof who;
  const bool known = ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0;
  // Modes of sockets do not count everywhere, and a descriptor may have been handed on.
  if (!known || (who.uid != 0 && who.uid != ::geteuid())) return {};
  return client;
}

}  // namespace lnet
