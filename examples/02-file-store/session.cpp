// SPDX-License-Identifier: BSD-2-Clause
#include "session.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>

#include "await.hpp"
#include "unique_fd.hpp"

namespace store {

namespace {
void print(const std::string& line) { std::fprintf(stderr, "kfx-store: %s\n", line.c_str()); }
}  // namespace

session::session(const std::string& uri, session_options o)
    : uri_(uri),
      pool_(o.threads),
      node_(kfx::options{}),
      peer_(node_->at(o.timeout ? with_limit(uri, o.timeout) : uri)),
      waiting_(std::in_place, peer_, limit_of(peer_.uri()), o.note ? std::move(o.note) : print) {}

session::~session() { close(); }

void session::close() {
  node_.reset();
  pool_.join();
  waiting_.reset();  // the coroutines are through with it
}

asio::awaitable<answer> session::ask(request head, std::string path, kfx::mutable_buffer space,
                                     kfx::const_buffer payload) {
  if (path.size() > max_path) throw remote_error(ENAMETOOLONG);
  if (auto gone = lost()) throw *gone;
  const std::string header = encode(head, path);
  kfx::op_options options;
  options.reply = space;
  kfx::op<kfx::done> op = peer_.send(header, payload, options);
  waiting_->asked();
  co_await settled(op);
  waiting_->answered();
  const auto done = op.result();
  if (!done) throw failure(op, done.error());
  const auto head_back = parse_reply(space.first(std::min(done->bytes, space.size())));
  if (!head_back) bad_answer("reply");
  co_return answer{*head_back, done->bytes - sizeof(reply)};
}

remote_error session::failure(const kfx::op<kfx::done>& op, std::error_code why) {
  // An errno is what the server says about the path; for the rest the op knows whom it did not reach, and why.
  if (why.category() != kfx::error_category()) return remote_error(why);
  remote_error told(why, op.explain(), true);
  // Every further request would wait as long again, one after the other.
  if (why == kfx::errc::unreachable || why == kfx::errc::timed_out) {
    const std::lock_guard lock(mutex_);
    if (!lost_) lost_ = told;
  }
  return told;
}

std::optional<remote_error> session::lost() {
  const std::lock_guard lock(mutex_);
  return lost_;
}

asio::awaitable<answer> session::ask(request head, std::string path) {
  std::array<std::byte, sizeof(reply)> space;
  co_return co_await ask(head, std::move(path), kfx::mutable_buffer(space));
}

answer session::ask_now(request head, std::string path, kfx::mutable_buffer space) {
  return asio::co_spawn(pool_, ask(head, std::move(path), space), asio::use_future).get();
}

bool is_fatal(std::error_code e) noexcept {
  if (e.category() == kfx::error_category()) return true;
  switch (e.value()) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EPROTO:
    case ENOMEM:
    case EIO:
      return true;
    default:
      return false;
  }
}

}  // namespace store
