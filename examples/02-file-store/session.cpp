// SPDX-License-Identifier: BSD-2-Clause
#include "session.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include "await.hpp"
#include "unique_fd.hpp"

namespace store {

session::session(const std::string& uri, unsigned threads)
    : uri_(uri), pool_(threads), node_(kfx::options{}), peer_(node_->at(uri)) {}

session::~session() { close(); }

void session::close() {
  node_.reset();
  pool_.join();
}

asio::awaitable<answer> session::ask(request head, std::string path, kfx::mutable_buffer space,
                                     kfx::const_buffer payload) {
  if (path.size() > max_path) fail(ENAMETOOLONG, "path");
  const std::string header = encode(head, path);
  kfx::op_options options;
  options.reply = space;
  const auto [error, done] = co_await peer_.send(header, payload, options, outcome);
  if (error) throw std::system_error(std::error_code(error), "request");
  const auto head_back = parse_reply(space.first(std::min(done.bytes, space.size())));
  if (!head_back) throw std::system_error(head_back.error(), "reply");
  co_return answer{*head_back, done.bytes - sizeof(reply)};
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
