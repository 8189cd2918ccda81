// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_place.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace kfx::shm {
namespace {

using kfx::backend::failure;

/// Names that one listener looks at; those that are left are for the next.
constexpr int most_looks = 1000;

std::string reason() { return std::strerror(errno); }

descriptor unix_socket() { return descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

/// False: the path is too long for a socket's address.
bool address_of(const place& p, sockaddr_un& a) {
  const std::string path = p.path();
  a = {};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path) return false;
  std::memcpy(a.sun_path, path.data(), path.size());
  return true;
}

/// Whether nobody but this user gets in there.
bool is_private(const std::string& directory) {
  struct stat st {};
  return ::lstat(directory.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == ::geteuid() &&
         (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/// Where the user's own names may be, and the first is where they are made: in what the system set aside for the user,
/// or where everybody may. Which of them there are is another matter in a session than in a service that was started
/// before.
std::vector<std::string> users_directories() {
  const std::string user = std::to_string(::geteuid());
  std::vector<std::string> list;
  const char* given = std::getenv("XDG_RUNTIME_DIR");
  for (const std::string& c : {std::string(given ? given : ""), "/run/user/" + user})
    if (!c.empty() && is_private(c) && (list.empty() || list.front() != c + "/kfx")) list.push_back(c + "/kfx");
  list.push_back("/tmp/kfx-" + user);
  return list;
}

/// Serialises those who make and take names there. Not waited for long: its holder may be stopped.
class directory_lock {
 public:
  explicit directory_lock(const std::string& directory)
      : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) {
    for (int i = 0; fd_ && i < 100 && !held_; ++i) {
      if (i != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      held_ = ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0;
    }
    struct stat st {};
    // Somebody may have removed it between the two calls.
    if (held_) held_ = ::fstat(fd_.get(), &st) == 0 && st.st_nlink > 0;
  }
  explicit operator bool() const noexcept { return held_; }

 private:
  descriptor fd_;
  bool held_ = false;
};

enum class found { nothing, dead, alive };

/// Who answers at that name.
found look(const sockaddr_un& a) {
  struct stat st {};
  if (::lstat(a.sun_path, &st) != 0) return found::nothing;
  const descriptor probe = unix_socket();
  if (!probe) return found::alive;  // as far as one can tell
  const int r = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a);
  return r != 0 && errno == ECONNREFUSED && S_ISSOCK(st.st_mode) ? found::dead : found::alive;
}

void drop_directory(const place& p) {
  if (p.own_directory) ::rmdir(p.directory.c_str());  // when it is empty
}

/// Takes away what killed processes left in a directory that is kfx's own. The lock is held. A socket of another type
/// is refused by whoever listens there without being noticed, and by nobody when nobody does.
void sweep(const std::string& directory) {
  DIR* d = ::opendir(directory.c_str());
  if (!d) return;
  int looks = 0;
  while (const dirent* e = ::readdir(d)) {
    if (e->d_name[0] == '.') continue;
    if (++looks > most_looks) break;
    sockaddr_un a;
    struct stat st {};
    const descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe || !address_of({directory, e->d_name, true}, a)) continue;
    if (::lstat(a.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) continue;
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 && errno == ECONNREFUSED)
      ::unlink(a.sun_path);
  }
  ::closedir(d);
}

/// Nothing: errno.
std::optional<ucred> credentials_of(const descriptor& socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return {};
  return who;
}

/// The names that connecting looks at beside this one. Directories that others can write to are none of this user's.
std::vector<place> same_name(const place& p) {
  std::vector<place> list;
  for (const std::string& d : users_directories())
    if (d != p.directory && is_private(d)) list.push_back({d, p.name, true});
  return list;
}

failure cannot_listen(const place& p, std::error_code code, const std::string& why) {
  return {code, "cannot listen at shm://" + p.path() + ": " + why};
}

std::variant<descriptor, failure> bind_locked(const place& p, const sockaddr_un& a) {
  switch (look(a)) {
    case found::alive:
      return cannot_listen(p, errc::address_in_use, "somebody else listens there, or the file is none of kfx's");
    case found::dead:
      ::unlink(a.sun_path);
      break;
    case found::nothing:
      break;
  }
  descriptor s = unix_socket();
  if (!s) return cannot_listen(p, errc::out_of_resources, "socket: " + reason());
  if (::bind(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 || ::chmod(a.sun_path, 0600) != 0 ||
      ::listen(s.get(), SOMAXCONN) != 0)
    return cannot_listen(p, errno == EADDRINUSE ? errc::address_in_use : errc::access_denied, reason());
  return s;
}

}  // namespace

std::variant<place, failure> place_of(const kfx::backend::uri& u) {
  if (u.host.empty() == u.path.empty() || !u.port.empty())
    return failure{errc::bad_uri, u.to_string() + ": write shm://name or shm:///absolute/path"};
  if (!u.path.empty()) {
    const auto slash = u.path.rfind('/');
    std::string directory = slash == std::string::npos ? "" : "/" + u.path.substr(0, slash);
    // A printed address of a name: the directory may have gone with its last name, and is made again.
    const auto mine = users_directories();
    const bool own = std::find(mine.begin(), mine.end(), directory) != mine.end();
    return place{std::move(directory), slash == std::string::npos ? u.path : u.path.substr(slash + 1), own};
  }
  if (u.host.find('/') != std::string::npos || u.host[0] == '.')
    return failure{errc::bad_uri, u.to_string() + ": a name has no '/' and does not begin with '.'"};
  return place{users_directories().front(), u.host, true};
}

std::variant<std::vector<place>, failure> places_of(const kfx::backend::uri& u) {
  auto first = place_of(u);
  if (auto* bad = std::get_if<failure>(&first)) return std::move(*bad);
  std::vector<place> list{std::get<place>(std::move(first))};
  if (u.host.empty()) return list;
  for (place& p : same_name(list.front())) list.push_back(std::move(p));
  return list;
}

std::variant<descriptor, failure> listen_at(const place& p) {
  sockaddr_un a;
  if (!address_of(p, a)) return cannot_listen(p, errc::bad_uri, "longer than a socket's name may be (107 bytes)");
  // Who connects by the name alone would find either.
  sockaddr_un elsewhere;
  for (const place& other : p.own_directory ? same_name(p) : std::vector<place>())
    if (address_of(other, elsewhere) && look(elsewhere) == found::alive)
      return cannot_listen(p, errc::address_in_use, "somebody else listens at shm://" + other.path());
  for (int i = 0; i < 10; ++i) {
    if (p.own_directory && ::mkdir(p.directory.c_str(), 0700) != 0 && errno != EEXIST)
      return cannot_listen(p, errc::access_denied, "mkdir: " + reason());
    if (p.own_directory && !is_private(p.directory))
      return cannot_listen(p, errc::access_denied, "others than its owner have access to that directory; remove it");
    const directory_lock lock(p.directory);
    if (lock && p.own_directory) sweep(p.directory);
    if (lock) return bind_locked(p, a);
    if (!p.own_directory) break;
  }
  return cannot_listen(p, errc::access_denied, "the directory cannot be locked; does it exist?");
}

void leave(const place& p, const descriptor& listener) {
  sockaddr_un a;
  if (!listener || !address_of(p, a)) return;
  const directory_lock lock(p.directory);
  // Closed first: then whoever answers there is another one.
  ::shutdown(listener.get(), SHUT_RDWR);
  if (!lock) return;
  if (look(a) == found::dead) ::unlink(a.sun_path);
  drop_directory(p);
}

void bury(const place& p) {
  sockaddr_un a;
  if (!address_of(p, a)) return;
  const directory_lock lock(p.directory);
  if (!lock || look(a) != found::dead) return;
  ::unlink(a.sun_path);
  drop_directory(p);
}

approach connect_to(const place& p) {
  approach out;
  sockaddr_un a;
  if (!address_of(p, a)) {
    out.error = ENAMETOOLONG;
    return out;
  }
  out.socket = unix_socket();
  if (out.socket && ::connect(out.socket.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0) return out;
  out.error = errno;
  out.again = out.socket && errno == EAGAIN;
  return out;
}

std::string peer_of(const descriptor& socket) {
  const auto who = credentials_of(socket);
  if (!who) return {};
  // Of another pid namespace, it has no number here.
  const std::string pid = who->pid > 0 ? "pid=" + std::to_string(who->pid) + "," : std::string();
  return "shm://" + pid + "uid=" + std::to_string(who->uid);
}

bool trusted(const descriptor& socket, std::string& why) {
  const auto who = credentials_of(socket);
  if (!who) {
    why = "its user cannot be found out: " + reason();
    return false;
  }
  if (who->uid == ::geteuid() || who->uid == 0) return true;
  why = "it is user " + std::to_string(who->uid) + "'s, and this one is user " + std::to_string(::geteuid()) + "'s";
  return false;
}

}  // namespace kfx::shm
