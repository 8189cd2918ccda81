// SPDX-License-Identifier: BSD-2-Clause
#include "put.hpp"

#include <fcntl.h>

#include <climits>

#include "safe_path.hpp"

namespace store {

putter::putter(session& s, report& r, const transfer_options& o, const window& w)
    : s_(s),
      report_(r),
      options_(o),
      packets_(s.node(), w.packets, packet_bytes),
      chunks_(s.node(), w.chunks, chunk_bytes),
      files_(w.files),
      group_(s.pool()) {}

void putter::run(const std::string& local, const std::string& remote) {
  remote_ = remote;
  std::string from = local;
  while (from.ends_with('/') && from.size() > 1) from.pop_back();
  struct stat st {};
  check(::lstat(from.c_str(), &st), "cannot read " + local);
  // "link/" means what it leads to.
  if (S_ISLNK(st.st_mode) && from != local) check(::stat(local.c_str(), &st), "cannot read " + local);
  if (!S_ISDIR(st.st_mode)) return single(from, st);
  if (!options_.recursive) fail(EISDIR, "cannot send " + local + " without -r");
  tree(local);
}

void putter::tree(const std::string& local) {
  local_ = local;
  root_ = unique_fd(check(::open(local.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cannot open " + local));
  group_.spawn(walk());
  group_.wait();
  group_.spawn(finish_directories());
  group_.wait();
}

void putter::single(const std::string& local, const struct stat& st) {
  const split where = split_path(local);
  const std::string parent = where.parent.empty() ? (local.starts_with('/') ? "/" : ".") : where.parent;
  root_ = unique_fd(check(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cannot open " + parent));
  if (S_ISREG(st.st_mode)) {
    try {
      auto file = std::make_shared<const unique_fd>(open_file_at(root_.get(), where.leaf.c_str()));
      group_.spawn(upload(file, local, remote_, place()));
    } catch (const std::system_error& e) {
      fail(e.code().value(), "cannot read " + local);
    }
  } else if (S_ISLNK(st.st_mode)) {
    const split to = split_path(remote_);
    remote_ = to.parent;
    local_ = where.parent;
    group_.spawn(link(where.leaf, to.leaf));
  } else {
    fail(EINVAL, local + " is neither file, directory nor symlink");
  }
  group_.wait();
  group_.spawn(sync());
  group_.wait();
}

asio::awaitable<void> putter::link(std::string from, std::string name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t n = check(::readlinkat(root_.get(), from.c_str(), target.data(), target.size()),
                          "cannot read the link " + join(local_, from));
  target.resize(static_cast<std::size_t>(n));
  struct stat st {};
  check(::fstatat(root_.get(), from.c_str(), &st, AT_SYMLINK_NOFOLLOW), "cannot read the link " + join(local_, from));
  parcel p;
  co_await place_directory(p, "", 0);
  p.writer.add(describe(st), name, target);
  p.worth_sending = true;
  flush(p);
}

asio::awaitable<void> putter::walk() {
  parcel p;
  std::vector<std::string> pending{""};
  while (!pending.empty() && !report_.stopped()) {
    const std::string directory = std::move(pending.back());
    pending.pop_back();
    try {
      co_await walk_directory(p, directory, pending);
    } catch (const std::system_error& e) {
      problem(directory, e);
    }
  }
  flush(p);
}

asio::awaitable<void> putter::walk_directory(parcel& p, std::string directory, std::vector<std::string>& pending) {
  directory_reader reader(open_dir(root_.get(), directory));
  struct stat st {};
  check(::fstat(reader.fd(), &st), "fstat");
  directories_.push_back({directory, describe(st)});
  co_await place_directory(p, directory, first_mention);
  entry what;
  while (const char* name = reader.next()) {
    if (report_.stopped()) break;
    std::size_t bytes = p.writer.bytes();
    std::uint32_t count = p.writer.count();
    packed how = pack(p.writer, reader.fd(), name, true, what);
    if (how == packed::no_room) {
      flush(p);
      co_await place_directory(p, directory, 0);
      bytes = p.writer.bytes();
      count = p.writer.count();
      how = pack(p.writer, reader.fd(), name, true, what);
    }
    if (how == packed::gone) continue;
    if (how == packed::added && !what.error && (what.kind == kind::symlink || (what.flags & has_content))) {
      p.worth_sending = true;
      continue;
    }
    p.writer.rewind(bytes, count);
    co_await other_entry(directory, reader.fd(), name, what, pending);
  }
}

asio::awaitable<void> putter::other_entry(std::string directory, int dir, std::string name, entry what,
                                          std::vector<std::string>& pending) {
  const std::string path = join(directory, name);
  try {
    if (what.error) fail(static_cast<int>(what.error), "read");
    if (what.kind == kind::directory) {
      pending.push_back(path);
    } else if (what.kind == kind::file) {
      co_await files_.enter();
      place slot(files_);
      auto file = std::make_shared<const unique_fd>(open_file_at(dir, name.c_str()));
      group_.spawn(upload(std::move(file), join(local_, path), join(remote_, path), std::move(slot)));
    } else {
      ++report_.count.skipped;
    }
  } catch (const std::system_error& e) {
    problem(path, e);
  }
}

void putter::problem(const std::string& path, const std::system_error& why) {
  report_.problem(join(remote_, path), join(local_, path), why);
}

asio::awaitable<void> putter::place_directory(parcel& p, std::string directory, std::uint8_t flags) {
  if (p.buffer && !p.writer.fits(directory.size(), 0)) flush(p);
  if (!p.buffer) {
    p.buffer = co_await packets_.take();
    p.writer = packet_writer(p.buffer.span().first(packet_bytes));
  }
  p.writer.add({.kind = kind::directory, .flags = flags}, directory);
  if (flags & first_mention) p.worth_sending = true;
}

void putter::flush(parcel& p) {
  parcel full = std::exchange(p, parcel{});
  if (full.worth_sending) group_.spawn(send(std::move(full.buffer), full.writer.bytes()));
}

asio::awaitable<void> putter::send(buffer_pool::lease buffer, std::size_t bytes) {
  const kfx::const_buffer packet = buffer.span().first(bytes);
  std::vector<std::byte> space(kfx::limits::header);
  try {
    request ask{.op = verb::batch};
    ask.flags = options_.each_fsync ? want_fsync : 0;
    const answer a = co_await s_.ask(ask, remote_, space, packet);
    if (a.count > a.more / sizeof(failure)) bad_answer("batch");
    std::vector<failure> failures(a.count);
    if (a.count) std::memcpy(failures.data(), space.data() + sizeof(reply), a.count * sizeof(failure));
    account(packet, failures, a.bytes);
  } catch (const std::system_error& e) {
    problem("", e);
  }
}

void putter::account(kfx::const_buffer packet, const std::vector<failure>& failures, std::uint64_t failed) {
  packet_reader reader(packet);
  std::string directory;
  auto next = failures.begin();
  for (std::uint32_t i = 0; !reader.at_end(); ++i) {
    const entry_view e = reader.next().value();
    if (e.head.kind == kind::directory) directory = e.name;
    const std::string path = e.head.kind == kind::directory ? directory : join(directory, e.name);
    if (next != failures.end() && next->index == i) {
      problem(path, remote_error(static_cast<int>(next->error)));
      ++next;
    } else if (e.head.kind == kind::file) {
      ++report_.count.files;
      report_.count.bytes += e.data.size();
    } else if (e.head.kind == kind::symlink) {
      ++report_.count.links;
    } else if (e.head.flags & first_mention) {
      ++report_.count.directories;
    }
  }
  // More failed than one reply can name.
  if (failed > failures.size()) report_.count.failed += failed - failures.size();
}

asio::awaitable<void> putter::finish_directories() {
  if (report_.stopped()) co_return;
  deepest_first(directories_);
  parcel p;
  for (const auto& d : directories_) {
    // One packet after the other: a parent must not be finished before its children.
    if (p.buffer && !p.writer.fits(d.path.size(), 0)) {
      co_await send(std::move(p.buffer), p.writer.bytes());
      p = parcel{};
    }
    if (!p.buffer) {
      p.buffer = co_await packets_.take();
      p.writer = packet_writer(p.buffer.span().first(packet_bytes));
    }
    entry head = d.head;
    head.flags = set_attributes;
    p.writer.add(head, d.path);
  }
  if (p.buffer) co_await send(std::move(p.buffer), p.writer.bytes());
  co_await sync();
}

asio::awaitable<void> putter::sync() {
  if (!options_.no_sync && !report_.stopped()) co_await s_.ask({.op = verb::sync}, "");
}

}  // namespace store
