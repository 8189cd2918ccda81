// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How a large file is sent: begun under a temporary name, its data in chunks that the server fetches, then named.

#include "put.hpp"
#include "sparse.hpp"

namespace store {

/// One attempt at one file.
struct putter::job {
  std::shared_ptr<const unique_fd> file;
  std::uint64_t id = 0;
  std::uint64_t size = 0;
  pieces under_way;
};

namespace {

constexpr int attempts = 3;

entry look_at(int fd) {
  struct stat st {};
  check(::fstat(fd, &st), "fstat");
  return describe(st);
}

}  // namespace

asio::awaitable<void> putter::upload(std::shared_ptr<const unique_fd> file, std::string local, std::string remote,
                                     [[maybe_unused]] place slot) {
  for (int i = 0; i < attempts && !report_.stopped(); ++i) {
    try {
      co_await upload_once(file, remote);
      ++report_.count.files;
      co_return;
    } catch (const std::system_error& e) {
      if (e.code().value() == ESTALE && i + 1 < attempts) continue;
      if (e.code() != std::errc::operation_canceled) report_.problem(remote, local, e);
      co_return;
    }
  }
}

asio::awaitable<void> putter::upload_once(std::shared_ptr<const unique_fd> file, const std::string& path) {
  const entry before = look_at(file->get());
  auto j = std::make_shared<job>();
  j->file = file;
  j->size = before.size;
  request begin{.op = verb::begin};
  begin.size = before.size;
  j->id = (co_await s_.ask(begin, path)).id;
  try {
    co_await send_chunks(j);
  } catch (const std::system_error&) {
    j->under_way.failed(std::current_exception());
  }
  co_await j->under_way.join();
  std::exception_ptr why = j->under_way.error();
  const entry after = look_at(file->get());
  // What was written meanwhile may be half in what was sent.
  if (!why && (after.size != before.size || after.mtime != before.mtime || after.mtime_ns != before.mtime_ns))
    why = std::make_exception_ptr(std::system_error(ESTALE, std::generic_category()));
  request end{.op = why ? verb::abort : verb::finish};
  end.flags = options_.each_fsync ? want_fsync : 0;
  end.id = j->id;
  end.mode = before.mode;
  end.mtime = before.mtime;
  end.mtime_ns = before.mtime_ns;
  try {
    co_await s_.ask(end, "");
  } catch (const std::system_error&) {
    if (!why) why = std::current_exception();
  }
  if (why) std::rethrow_exception(why);
}

asio::awaitable<void> putter::send_chunks(std::shared_ptr<job> j) {
  std::uint64_t from = 0;
  for (bool end = false; !end;) {
    const extents_found found = data_extents(j->file->get(), from, j->size);
    from = found.next;
    end = found.end;
    for (const extent& e : found.list) {
      for (std::uint64_t at = e.offset; at < e.offset + e.length; at += chunk_bytes) {
        if (report_.stopped()) fail(ECANCELED, "stopped");
        if (j->under_way.error()) co_return;
        auto buffer = co_await chunks_.take();
        j->under_way.started();
        group_.spawn(send_chunk(j, std::move(buffer), at, next_chunk(e, at)));
      }
    }
  }
}

asio::awaitable<void> putter::send_chunk(std::shared_ptr<job> j, buffer_pool::lease buffer, std::uint64_t offset,
                                         std::size_t length) {
  try {
    const auto bytes = buffer.span().first(length);
    if (read_at(j->file->get(), bytes, offset) != length) fail(ESTALE, "the file became shorter");
    kfx::offer offered = s_.peer().offer(bytes, kfx::access::read);
    request ask{.op = verb::chunk};
    ask.id = j->id;
    ask.offset = offset;
    ask.length = length;
    const auto token = offered.token().encode();
    std::copy(token.begin(), token.end(), ask.token);
    co_await s_.ask(ask, "");
    settle(offered, length);
    report_.count.bytes += length;
  } catch (const std::system_error&) {
    j->under_way.failed(std::current_exception());
  }
  j->under_way.done();
}

}  // namespace store
