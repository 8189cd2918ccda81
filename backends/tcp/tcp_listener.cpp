// SPDX-License-Identifier: BSD-2-Clause
#include "backends/tcp/tcp_listener.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <utility>

#include "backends/tcp/tcp_address.hpp"
#include "backends/tcp/tcp_stream.hpp"

namespace kfx::backend {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// Out of descriptors or memory, accepting pauses so long: the connection waits in the kernel's queue, which would
/// signal it again and again.
constexpr std::chrono::milliseconds pause(100);
/// Connections taken before others get the control thread.
constexpr int accepts_a_turn = 64;

/// Kept alive by its pending handlers; stopped by its owner.
class acceptor : public std::enable_shared_from_this<acceptor> {
 public:
  acceptor(asio::io_context& io, tcp protocol, int fd, on_accepted callback)
      : socket_(io, protocol, fd), timer_(io), callback_(std::move(callback)) {}

  void wait() {
    socket_.async_wait(tcp::acceptor::wait_read, [self = shared_from_this()](error_code error) {
      if (!self->stopped_) error ? self->rest() : self->accept();
    });
  }
  void stop() {
    stopped_ = true;
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }
  tcp::endpoint endpoint() const {
    error_code ignored;
    return socket_.local_endpoint(ignored);
  }

 private:
  void accept() {
    for (int i = 0; i < accepts_a_turn; ++i) {
      const int fd = ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return rest();
        break;  // none left, or one that broke in the queue
      }
      callback_(channel(std::unique_ptr<byte_stream>(tcp_stream::adopt(fd))));
      if (stopped_) return;
    }
    wait();
  }
  void rest() {
    timer_.expires_after(pause);
    timer_.async_wait([self = shared_from_this()](error_code) {
      if (!self->stopped_) self->accept();
    });
  }

  tcp::acceptor socket_;
  asio::steady_timer timer_;
  on_accepted callback_;
  bool stopped_ = false;
};

class tcp_listener final : public listener {
 public:
  explicit tcp_listener(std::shared_ptr<acceptor> a) : acceptor_(std::move(a)) {
    const tcp::endpoint e = acceptor_->endpoint();
    address_ = tcp_uri(e.address().to_string(), std::to_string(e.port()));
  }
  ~tcp_listener() override { acceptor_->stop(); }
  std::string address() const override { return address_; }

 private:
  std::shared_ptr<acceptor> acceptor_;
  std::string address_;
};

/// A listening socket, or -1 and errno.
int open_socket(const tcp::endpoint& at) {
  const int fd = ::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) return -1;
  const int on = 1;
  const int off = 0;
  // A port of connections that linger from an earlier run is free to be listened on.
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.protocol() == tcp::v6()) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(fd, at.data(), static_cast<socklen_t>(at.size())) == 0 && ::listen(fd, SOMAXCONN) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

failure cannot_listen(const uri& u, std::error_code code, const std::string& reason) {
  const std::string at = tcp_uri(u.host.empty() ? "*" : u.host, u.port.empty() ? "0" : u.port);
  return {code, "cannot listen on " + at + ": " + reason};
}

failure cannot_listen(const uri& u, int error) {
  const std::string text = std::generic_category().message(error);
  switch (error) {
    case EADDRINUSE:
      return cannot_listen(u, errc::address_in_use, text + "; stop whoever listens there or choose another port");
    case EADDRNOTAVAIL:
      return cannot_listen(u, errc::bad_option, text + "; choose an address of this host, or *");
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return cannot_listen(u, errc::out_of_resources, text + "; raise the limit of open files (ulimit -n)");
    case EACCES:
      return cannot_listen(u, std::make_error_code(std::errc::permission_denied),
                           text + "; choose a port of 1024 or above");
    case EAFNOSUPPORT:
      return cannot_listen(u, errc::not_supported, text + "; this host has no IPv6, use an IPv4 address");
    default:
      return cannot_listen(u, std::error_code(error, std::generic_category()), text);
  }
}

/// The addresses to try, in order.
std::vector<tcp::endpoint> places(asio::io_context& io, const uri& u, unsigned short port, error_code& error) {
  namespace ip = asio::ip;
  // Every address: IPv6's wildcard takes IPv4 as well; a host without IPv6 has the other one.
  if (u.host.empty() || u.host == "*") return {{ip::address_v6::any(), port}, {ip::address_v4::any(), port}};
  if (const auto address = parse_address(u.host)) return {{*address, port}};
  std::vector<tcp::endpoint> found;
  tcp::resolver resolver(io);
  for (const auto& entry : resolver.resolve(u.host, std::to_string(port), tcp::resolver::numeric_service, error))
    found.push_back(entry.endpoint());
  if (found.empty()) found = loopback_by_name(u.host, port);
  return found;
}

}  // namespace

std::variant<std::unique_ptr<listener>, failure> tcp_listen(asio::io_context& io, const uri& u, on_accepted callback) {
  const auto port = parse_port(u.port);
  if (!port) return cannot_listen(u, errc::bad_uri, "the port \"" + u.port + "\" is not a number from 0 to 65535");
  error_code error;
  const std::vector<tcp::endpoint> list = places(io, u, *port, error);
  if (list.empty())
    return cannot_listen(u, errc::bad_option,
                         "the name does not resolve (" + error.message() + "); choose an address of this host");
  int reason = 0;
  for (const tcp::endpoint& at : list) {
    const int fd = open_socket(at);
    if (fd >= 0) {
      auto a = std::make_shared<acceptor>(io, at.protocol(), fd, std::move(callback));
      a->wait();
      return std::make_unique<tcp_listener>(std::move(a));
    }
    reason = errno;
    // Somebody else has that port for IPv6: half a listener would be found by some peers only.
    if (reason == EADDRINUSE) break;
  }
  return cannot_listen(u, reason);
}

}  // namespace kfx::backend
