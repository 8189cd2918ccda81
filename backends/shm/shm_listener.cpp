// SPDX-License-Identifier: BSD-2-Clause
#include "backends/shm/shm_listener.hpp"

#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>

#include "backends/shm/shm_handshake.hpp"
#include "base/random.hpp"

namespace kfx::shm {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using kfx::backend::failure;

/// Out of descriptors or memory, accepting pauses so long.
constexpr std::chrono::milliseconds pause(100);
/// Connections taken before others get the control thread.
constexpr int accepts_a_turn = 64;

/// Kept alive by its pending handlers; stopped by its owner.
class acceptor : public std::enable_shared_from_this<acceptor> {
 public:
  acceptor(asio::io_context& io, descriptor listening, std::string name, kfx::backend::on_accepted callback)
      : io_(io), socket_(io, listening.release()), timer_(io), name_(std::move(name)), callback_(std::move(callback)) {}

  void wait() {
    socket_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
      if (!self->stopped_) error ? self->rest() : self->accept();
    });
  }
  void stop(const place& at) {
    stopped_ = true;
    timer_.cancel();
    descriptor listening(socket_.release());
    leave(at, listening);
  }

 private:
  void accept() {
    for (int i = 0; i < accepts_a_turn; ++i) {
      descriptor s(::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!s) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return rest();
        break;  // none left, or one that broke in the queue
      }
      greet(std::move(s));
    }
    wait();
  }
  void greet(descriptor s) {
    asio::co_spawn(io_, exchange_memory(io_, std::move(s), name_, false, bulk::best),
                   [self = shared_from_this()](std::exception_ptr thrown, auto made) {
                     auto* rings = std::get_if<std::unique_ptr<kfx::backend::ring_pair>>(&made);
                     if (!thrown && rings && !self->stopped_) self->callback_(std::move(*rings));
                   });
  }
  void rest() {
    timer_.expires_after(pause);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error && !self->stopped_) self->wait();
    });
  }

  asio::io_context& io_;
  asio::posix::stream_descriptor socket_;
  asio::steady_timer timer_;
  const std::string name_;
  kfx::backend::on_accepted callback_;
  bool stopped_ = false;
};

class shm_listener final : public kfx::backend::listener {
 public:
  shm_listener(place at, std::shared_ptr<acceptor> a) : at_(std::move(at)), acceptor_(std::move(a)) {}
  ~shm_listener() override { acceptor_->stop(at_); }
  std::string address() const override { return "shm://" + at_.path(); }

 private:
  const place at_;
  const std::shared_ptr<acceptor> acceptor_;
};

}  // namespace

std::variant<std::unique_ptr<kfx::backend::listener>, failure> shm_listen(asio::io_context& io,
                                                                          const kfx::backend::uri& u,
                                                                          kfx::backend::on_accepted callback) {
  kfx::backend::uri where = u;
  if (where.host == "*") where.host = base::random_id();  // a name that nobody has, as a port 0 would be
  auto at = place_of(where);
  if (auto* bad = std::get_if<failure>(&at)) return std::move(*bad);
  const place& p = std::get<place>(at);
  auto listening = listen_at(p);
  if (auto* bad = std::get_if<failure>(&listening)) return std::move(*bad);
  auto a = std::make_shared<acceptor>(io, std::move(std::get<descriptor>(listening)), p.name, std::move(callback));
  a->wait();
  return std::make_unique<shm_listener>(p, std::move(a));
}

}  // namespace kfx::shm
