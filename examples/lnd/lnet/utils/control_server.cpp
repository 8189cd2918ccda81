// SPDX-License-Identifier: BSD-2-Clause
#include "control_server.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <list>
#include <system_error>
#include <thread>

#include "commands.hpp"
#include "control_socket.hpp"

namespace lnet {
namespace {

/// One connection. Reads no further than it has answered.
class client {
 public:
  client(descriptor fd, std::uint64_t now) : fd_(std::move(fd)), last_heard_(now) {}

  pollfd wanted() const {
    const bool deaf = ended_ || has_line();
    return {fd_.get(), static_cast<short>(!out_.empty() ? POLLOUT : deaf ? 0 : POLLIN), 0};
  }
  /// There is something to do without waiting.
  bool ready() const { return out_.empty() && (has_line() || ended_); }
  std::uint64_t last_heard() const noexcept { return last_heard_; }

  /// Something may be read, written or answered. False: the client is gone, or has all its answers.
  bool serve(management& m, std::uint64_t now) {
    if (!flush()) return false;
    if (!out_.empty()) return true;
    if (!has_line() && !ended_ && !read(now)) return false;
    if (has_line()) {
      answer_line(m);
      return flush();
    }
    // Half a line is no request: it might end otherwise.
    return !ended_;
  }

 private:
  bool has_line() const { return in_.find('\n') != in_.npos; }

  bool read(std::uint64_t now) {
    char chunk[request::longest];
    const ssize_t n = ::recv(fd_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) ended_ = true;
    if (n > 0) last_heard_ = now;
    in_.append(chunk, static_cast<std::size_t>(n));
    // Of a line that is too long only that fact is kept.
    if (!has_line() && in_.size() > request::longest) in_.resize(request::longest + 1);
    return true;
  }

  void answer_line(management& m) {
    const std::size_t end = in_.find('\n');
    std::string_view line(in_.data(), end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const answer a = execute(m, line);
    out_ = a.yaml + std::string(end_mark) + std::to_string(a.status) + "\n";
    in_.erase(0, end + 1);
  }

  bool flush() {
    while (!out_.empty()) {
      const ssize_t n = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      out_.erase(0, static_cast<std::size_t>(n));
    }
    return true;
  }

  descriptor fd_;
  std::string in_, out_;
  bool ended_ = false;
  std::uint64_t last_heard_;
};

}  // namespace

class control_server::service {
 public:
  service(std::string path, management& m)
      : socket_(std::move(path)), lnet_(m), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw std::system_error(errno, std::generic_category(), "control server: cannot make an eventfd");
    // Signals are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread([this] { run(); });
    } catch (...) {
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~service() {
    const std::uint64_t one = 1;
    // Cannot fail: nobody else adds to it.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
    thread_.join();
  }

 private:
  void run() {
    for (;;) {
      std::vector<pollfd> list = {{wake_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      bool ready = false;
      for (const client& c : clients_) {
        list.push_back(c.wanted());
        ready = ready || c.ready();
      }
      // While there are no descriptors left, waiting clients would keep poll awake.
      if (short_of_descriptors_) list[1].fd = -1;
      const int limit = ready ? 0 : short_of_descriptors_ ? 100 : -1;
      short_of_descriptors_ = false;
      if (::poll(list.data(), list.size(), limit) < 0) {
        // Nobody asked anything, as far as one can tell.
        for (pollfd& p : list) p.revents = 0;
      }
      if (list[0].revents != 0) return;
      serve(list);
      if (list[1].revents != 0) admit();
    }
  }

  void serve(const std::vector<pollfd>& list) {
    std::size_t i = 2;
    for (auto c = clients_.begin(); c != clients_.end(); ++i) {
      const bool turn = list[i].revents != 0 || c->ready();
      c = !turn || served(*c) ? std::next(c) : clients_.erase(c);
    }
  }

  /// Whoever asks for more than there is memory for is let go.
  bool served(client& c) noexcept {
    try {
      return c.serve(lnet_, ++now_);
    } catch (const std::exception&) {
      return false;
    }
  }

  void admit() {
    int error = 0;
    if (descriptor fd = socket_.accept(error)) {
      if (clients_.size() == most_clients) drop_one();
      clients_.emplace_back(std::move(fd), ++now_);
    } else if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
      if (clients_.empty())
        short_of_descriptors_ = true;
      else
        drop_one();
    }
  }

  void drop_one() {
    clients_.erase(std::min_element(clients_.begin(), clients_.end(),
                                    [](const client& a, const client& b) { return a.last_heard() < b.last_heard(); }));
  }

  control_socket socket_;
  management& lnet_;
  descriptor wake_;
  std::list<client> clients_;
  std::uint64_t now_ = 0;  ///< counts events
  bool short_of_descriptors_ = false;
  std::thread thread_;
};

control_server::control_server(std::string path, management& m)
    : service_(std::make_unique<service>(std::move(path), m)) {}

control_server::~control_server() = default;

}  // namespace lnet
