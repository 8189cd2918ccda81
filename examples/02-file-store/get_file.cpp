// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How a large file is fetched: its extents, then their chunks, many under way.

#include <unistd.h>

#include <climits>

#include "get.hpp"

namespace store {

/// One attempt at one file.
struct getter::job {
  job(shared_dir here, std::string leaf) : part(std::move(here), std::move(leaf)) {}
  part_file part;
  std::string path;
  entry head;
  pieces under_way;
};

namespace {
constexpr int attempts = 3;

request about(verb op, const entry& head) {
  return {.op = op, .id = head.inode, .mtime = head.mtime, .mtime_ns = head.mtime_ns, .size = head.size};
}
}  // namespace

asio::awaitable<void> getter::fetch(shared_dir here, names n, entry head, [[maybe_unused]] place slot) {
  for (int i = 0; i < attempts && !report_.stopped(); ++i) {
    try {
      // It changed while it was fetched: begin again with what it is now.
      if (i > 0) head = entry_of(co_await s_.ask({.op = verb::stat}, n.remote));
      if (head.kind != kind::file) throw remote_error(ESTALE);
      co_await fetch_once(here, n.remote, n.leaf, head);
      ++report_.count.files;
      co_return;
    } catch (const std::system_error& e) {
      if (e.code().value() == ESTALE && i + 1 < attempts) continue;
      if (e.code() != std::errc::operation_canceled) report_.problem(n.remote, n.local, e);
      co_return;
    }
  }
}

asio::awaitable<void> getter::fetch_once(shared_dir here, const std::string& path, const std::string& leaf,
                                         const entry& head) {
  if (head.size > static_cast<std::uint64_t>(LLONG_MAX)) throw remote_error(EFBIG);
  auto j = std::make_shared<job>(here, leaf);
  j->path = path;
  j->head = head;
  check(::ftruncate(j->part.fd(), static_cast<off_t>(head.size)), "size");
  request ask = about(verb::extents, head);
  std::vector<std::byte> space(kfx::limits::header);
  for (bool end = false; !end && !j->under_way.error();) {
    std::vector<extent> list{{0, head.size}};
    // Most files are dense and need no question; what is only said to be is transferred as zeros, which is right too.
    if (head.flags & dense) {
      end = true;
    } else {
      const answer a = co_await s_.ask(ask, path, space);
      if (a.count > a.more / sizeof(extent) || (!a.end && a.cursor <= ask.offset)) bad_answer("extents");
      list.resize(a.count);
      if (a.count) std::memcpy(list.data(), space.data() + sizeof(reply), a.count * sizeof(extent));
      ask.offset = a.cursor;
      end = a.end;
    }
    co_await fetch_extents(j, std::move(list));
  }
  co_await j->under_way.join();
  if (const auto e = j->under_way.error()) std::rethrow_exception(e);
  j->part.publish({head.mode, head.mtime, head.mtime_ns}, options_.each_fsync);
}

asio::awaitable<void> getter::fetch_extents(std::shared_ptr<job> j, std::vector<extent> list) {
  for (const extent& e : list) {
    if (e.offset > j->head.size || e.length > j->head.size - e.offset) {
      j->under_way.failed(std::make_exception_ptr(remote_error(EPROTO)));
      co_return;
    }
    for (std::uint64_t at = e.offset; at < e.offset + e.length; at += chunk_bytes) {
      if (report_.stopped()) j->under_way.failed(std::make_exception_ptr(remote_error(ECANCELED)));
      if (j->under_way.error()) co_return;
      auto buffer = co_await chunks_.take();
      j->under_way.started();
      group_.spawn(fetch_chunk(j, std::move(buffer), at, next_chunk(e, at)));
    }
  }
}

asio::awaitable<void> getter::fetch_chunk(std::shared_ptr<job> j, buffer_pool::lease buffer, std::uint64_t offset,
                                          std::size_t length) {
  try {
    const auto bytes = buffer.span().first(length);
    kfx::offer offered = s_.peer().offer(bytes, kfx::access::write);
    request ask = about(verb::read, j->head);
    ask.offset = offset;
    ask.length = length;
    const auto token = offered.token().encode();
    std::copy(token.begin(), token.end(), ask.token);
    co_await s_.ask(ask, j->path);
    settle(offered, length);
    write_at(j->part.fd(), bytes, offset);
    report_.count.bytes += length;
  } catch (const std::system_error&) {
    j->under_way.failed(std::current_exception());
  }
  j->under_way.done();
}

}  // namespace store
