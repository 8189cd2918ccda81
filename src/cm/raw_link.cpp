// SPDX-License-Identifier: BSD-2-Clause
#include "cm/raw_link.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "cm/coroutines.hpp"
#include "wire/make_link.hpp"

namespace kfx::cm {
namespace {

/// Between two looks at a link that has nothing to sleep on.
constexpr std::chrono::milliseconds look_again(1);

/// Takes one handshake frame; anything else is refused.
class one_frame final : public backend::frame_sink {
 public:
  bool on_frame(const_buffer head, const_buffer body) override {
    if (got || head.size() < wire::head_size) return false;
    std::string why;
    auto g = decode(wire::load<wire::head>(head.data()), body, &why);
    if (g)
      got.emplace(*std::move(g));
    else
      got.emplace(backend::failure{g.error(), std::move(why)});
    return true;
  }
  std::span<const mutable_buffer> on_bulk(const_buffer, std::size_t) override {
    got.emplace(backend::failure{errc::protocol_error, "the other side began with a frame that is no handshake"});
    return {};
  }
  bool on_bulk_done() override { return false; }
  void on_sent(backend::cookie) override {}
  void on_quiet(backend::cookie) override {}
  void on_direct(backend::cookie, std::error_code) override {}

  std::optional<heard> got;
};

backend::failure ended(const backend::link& l, std::error_code e) {
  if (e == errc::protocol_error)
    return {e, l.describe() + ": the other side does not speak version " + std::to_string(wire::format_version) +
                   " of kfx's wire format; is it kfx that runs there?"};
  return {e, l.describe() + ": the connection ended during the handshake (" + e.message() + ")"};
}

backend::failure silent(const backend::link& l) {
  return {errc::timed_out, l.describe() + ": the other side said nothing; is it kfx that runs there, and does it run?"};
}

}  // namespace

raw_link::raw_link(asio::io_context& io, backend::channel c) : io_(io), link_(wire::make_link(std::move(c))) {}

raw_link::~raw_link() {
  if (link_) link_->close();
}

std::unique_ptr<backend::link> raw_link::release() {
  descriptor_.reset();
  watched_ = -1;
  return std::move(link_);
}

std::string raw_link::peer_address() const {
  std::string known = link_ ? link_->peer_address() : std::string();
  return known.empty() ? describe() : known;
}

asio::awaitable<std::error_code> raw_link::send(const greeting& g, clock::time_point until) {
  const std::vector<std::byte> frame = encode(g);
  one_frame ignored;
  std::span<std::byte> window = link_->reserve(frame.size());
  while (window.size() < frame.size()) {
    if (clock::now() >= until) co_return make_error_code(errc::timed_out);
    if (auto e = link_->flush(ignored)) co_return e;
    co_await wait(until);
    window = link_->reserve(frame.size());
  }
  std::memcpy(window.data(), frame.data(), frame.size());
  link_->commit(frame.size());
  for (;;) {
    if (auto e = link_->flush(ignored)) co_return e;
    // Not all of it left yet: the link asks to be woken when there is room.
    if (!link_->arm().writable) co_return std::error_code();
    if (clock::now() >= until) co_return make_error_code(errc::timed_out);
    co_await wait(until);
  }
}

asio::awaitable<heard> raw_link::receive(clock::time_point until) {
  one_frame sink;
  for (;;) {
    const auto r = link_->poll(sink, 1);
    if (sink.got) co_return std::move(*sink.got);
    if (r.error) co_return ended(*link_, r.error);
    if (clock::now() >= until) co_return silent(*link_);
    if (r.frames == 0) co_await wait(until);
  }
}

asio::awaitable<void> raw_link::linger(clock::time_point until) {
  one_frame ignored;
  while (clock::now() < until) {
    const auto r = link_->poll(ignored, 1);
    ignored.got.reset();
    if (r.error) co_return;
    co_await wait(until);
  }
}

void raw_link::watch(int fd) {
  if (descriptor_ && watched_ == fd) return;
  descriptor_.reset();
  // The link keeps its descriptor; Asio closes what it is given.
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return;
  boost::system::error_code refused;
  descriptor_ = std::make_shared<asio::posix::stream_descriptor>(io_);
  descriptor_->assign(copy, refused);
  if (refused) {
    ::close(copy);
    descriptor_.reset();
    return;
  }
  watched_ = fd;
}

/// Until there may be something to do for the link.
asio::awaitable<void> raw_link::wait(clock::time_point until) {
  const backend::wait_handle handle = link_->arm();
  if (handle.fd >= 0 && !handle.writable) watch(handle.fd);
  asio::steady_timer timer(io_);
  if (handle.fd < 0 || handle.writable || !descriptor_) {
    timer.expires_after(look_again);
    co_await timer.async_wait(quiet);
    co_return;
  }
  timer.expires_at(until);
  // Shared: this handler may run after the link was taken out.
  timer.async_wait([d = descriptor_](boost::system::error_code e) {
    boost::system::error_code ignored;
    if (!e) d->cancel(ignored);
  });
  co_await descriptor_->async_wait(asio::posix::stream_descriptor::wait_read, quiet);
}

}  // namespace kfx::cm
