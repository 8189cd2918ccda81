// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "roles.hpp"

namespace bench::crowd {
namespace {

constexpr std::uint64_t line_tag = ~std::uint64_t{0};

/// What one node has to send to one address.
struct errand {
  kfx::peer to;
  std::size_t left;  ///< messages
  std::array<std::byte, body_bytes> reply;
};

class crowd {
 public:
  crowd(line& l, unsigned nodes, std::chrono::milliseconds keepalive);
  ~crowd() { ::close(epoll_); }
  void run();

 private:
  std::string act(const std::string& command);
  void all_at_once(std::deque<errand>&);
  void in_turn(std::deque<errand>&);
  void send(errand&);
  void sent(errand&, boost::system::error_code);
  bool turn(int timeout_ms);
  void watch(int fd, std::uint64_t tag) const;

  line& line_;
  std::deque<kfx::node> nodes_;
  int epoll_;
  std::size_t under_way_ = 0, failed_ = 0;
  std::string first_failure_;
  std::size_t bytes_ = 0;
};

crowd::crowd(line& l, unsigned nodes, std::chrono::milliseconds keepalive)
    : line_(l), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  watch(l.fd(), line_tag);
  for (unsigned i = 0; i < nodes; ++i) {
    nodes_.emplace_back(quiet_options(keepalive, kfx::progress::caller));
    nodes_.back().on_message([](kfx::message) {});
    watch(nodes_.back().fd(), i);
  }
}

void crowd::watch(int fd, std::uint64_t tag) const {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = tag;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) throw std::runtime_error("a node cannot be waited for");
}

/// Nodes that have something to do do it. True: there is a command.
bool crowd::turn(int timeout_ms) {
  std::array<epoll_event, 256> ready;
  const int n = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), timeout_ms);
  bool told = false;
  for (int i = 0; i < n; ++i) {
    const std::uint64_t tag = ready[static_cast<std::size_t>(i)].data.u64;
    if (tag == line_tag)
      told = true;
    else
      nodes_[tag].poll();
  }
  return told;
}

void crowd::run() {
  line_.say("+");
  for (;;) {
    if (!turn(-1)) continue;
    const auto command = line_.hear();
    if (!command) return;
    answer(line_, *command, [this](const std::string& c) { return act(c); });
  }
}

void crowd::send(errand& e) {
  static const std::array<std::byte, 8> hello{std::byte{'h'}};
  static const std::array<std::byte, body_bytes> body{};
  const auto over = [this, &e](boost::system::error_code code, kfx::done) { sent(e, code); };
  if (bytes_ == 0)
    e.to.send(hello, {}, {}, over);
  else
    e.to.send(hello, kfx::const_buffer(body), {.reply = kfx::mutable_buffer(e.reply)}, over);
}

void crowd::sent(errand& e, boost::system::error_code code) {
  if (code && failed_++ == 0) first_failure_ = e.to.uri() + ": " + code.message();
  if (!code && --e.left != 0) return send(e);
  --under_way_;
}

void crowd::all_at_once(std::deque<errand>& errands) {
  under_way_ = errands.size();
  for (errand& e : errands) send(e);
  while (under_way_ != 0) turn(-1);
}

void crowd::in_turn(std::deque<errand>& errands) {
  for (errand& e : errands) {
    under_way_ = 1;
    send(e);
    while (under_way_ != 0) turn(-1);
  }
}

std::string crowd::act(const std::string& command) {
  std::istringstream words(command);
  std::string verb;
  if (!(words >> verb >> bytes_) || (verb != "greet" && verb != "visit"))
    throw std::runtime_error("no such command: " + command);
  failed_ = 0;
  first_failure_.clear();
  std::deque<errand> errands;
  for (std::string uri; words >> uri;)
    for (kfx::node& n : nodes_) errands.push_back({n.at(uri), std::max<std::size_t>(1, bytes_ / body_bytes), {}});
  const auto begun = kfx::clock::now();
  verb == "greet" ? all_at_once(errands) : in_turn(errands);
  const std::chrono::duration<double> took = kfx::clock::now() - begun;
  return fmt::format("{} {} {}", failed_, took.count(), first_failure_);
}

}  // namespace

void be_peers(line& l, unsigned nodes, std::chrono::milliseconds keepalive) { crowd(l, nodes, keepalive).run(); }

}  // namespace bench::crowd
