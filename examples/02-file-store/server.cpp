// SPDX-License-Identifier: BSD-2-Clause
#include "server.hpp"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "await.hpp"
#include "safe_path.hpp"
#include "tree.hpp"

namespace store {

server::server(const server_options& o)
    : options_(o),
      root_(::open(o.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      uploads_(o.uploads),
      disk_(o.threads),
      clock_(disk_) {
  if (!root_) fail(errno, "cannot serve " + o.directory);
  swept_ = sweep_tree(root_.get());
  node_.emplace(kfx::options{.listen = o.listen});
  buffers_.emplace(*node_, o.buffers, std::max(chunk_bytes, packet_bytes));
  node_->on_message(asio::bind_executor(
      disk_, [this](kfx::message m) { asio::co_spawn(disk_, serve(std::move(m)), asio::detached); }));
  node_->on_peer(asio::bind_executor(disk_, [this](const kfx::peer& p, kfx::peer_event e) {
    if (e == kfx::peer_event::restarted) uploads_.drop_all_of(p);
  }));
  asio::co_spawn(disk_, housekeeping(), asio::detached);
}

server::~server() {
  asio::post(disk_, [this] { clock_.cancel(); });
  buffers_->close();
  // Every operation under way ends now, so every coroutine does.
  node_.reset();
  disk_.join();
  uploads_.drop_all();
}

asio::awaitable<void> server::serve(kfx::message m) {
  std::error_code why;
  try {
    const auto parsed = parse_request(m.header());
    if (!parsed) throw std::system_error(parsed.error(), "request");
    // Copied: the path points into the message, which a reply ends.
    const request head = parsed->head;
    std::string path = clean_path(parsed->path);
    co_await dispatch(m, head, std::move(path));
  } catch (const std::system_error& e) {
    why = e.code();
  } catch (const std::bad_alloc&) {
    why = std::make_error_code(std::errc::not_enough_memory);
  } catch (const std::exception&) {
    why = std::make_error_code(std::errc::io_error);
  }
  if (why && m.valid()) m.reject(why);
}

asio::awaitable<void> server::dispatch(kfx::message& m, const request& r, std::string path) {
  switch (r.op) {
    case verb::stat:
      stat(m, path);
      co_return;
    case verb::list:
      co_await list(m, r, std::move(path));
      co_return;
    case verb::read:
      co_await read(m, r, std::move(path));
      co_return;
    case verb::extents:
      extents(m, r, path);
      co_return;
    case verb::batch:
      co_await batch(m, r, std::move(path));
      co_return;
    case verb::begin:
      begin(m, r, path);
      co_return;
    case verb::chunk:
      co_await chunk(m, r);
      co_return;
    case verb::finish:
      finish(m, r);
      co_return;
    case verb::abort:
      uploads_.take(r.id, m.from());
      break;
    case verb::remove:
      remove(m, r, path);
      co_return;
    case verb::sync:
      check(::syncfs(root_.get()), "syncfs");
      break;
  }
  const reply done;
  m.reply(std::as_bytes(std::span(&done, 1)));
}

std::shared_ptr<gate> server::share_of(const kfx::peer& p) {
  const std::lock_guard lock(clients_mutex_);
  for (const auto& [peer, share] : clients_)
    if (peer == p) return share;
  return clients_.emplace_back(p, std::make_shared<gate>(options_.buffers_a_client)).second;
}

asio::awaitable<void> server::housekeeping() {
  for (;;) {
    clock_.expires_after(std::chrono::seconds(1));
    const auto [e] = co_await clock_.async_wait(outcome);
    if (e) co_return;
    uploads_.reap(options_.grace, std::chrono::minutes(30));
    const std::lock_guard lock(clients_mutex_);
    std::erase_if(clients_, [](const auto& c) { return !c.first.connected() && c.second.use_count() == 1; });
  }
}

}  // namespace store
