// SPDX-License-Identifier: BSD-2-Clause
#include "get.hpp"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "safe_path.hpp"
#include "tree.hpp"

namespace store {

getter::getter(session& s, report& r, const transfer_options& o, const window& w)
    : s_(s),
      report_(r),
      options_(o),
      window_(w),
      packets_(s.node(), w.packets, sizeof(reply) + packet_bytes),
      chunks_(s.node(), w.chunks, chunk_bytes),
      files_(w.files),
      group_(s.pool()) {}

void getter::run(const std::string& remote, const std::string& local) {
  remote_ = remote;
  while (remote_.ends_with('/') && remote_.size() > 1) remote_.pop_back();
  std::vector<std::byte> space(kfx::limits::header);
  const answer a = s_.ask_now({.op = verb::stat}, remote_, space);
  const std::string target(reinterpret_cast<const char*>(space.data()) + sizeof(reply),
                           std::min<std::size_t>(a.bytes, a.more));
  const entry top = entry_of(a);
  if (top.kind != kind::directory) return single(top, target, local);
  if (!options_.recursive) throw remote_error(EISDIR);
  tree(top, local);
}

void getter::single(const entry& top, const std::string& target, std::string local) {
  const std::string name = split_path(remote_).leaf;
  std::error_code none;
  if (local.ends_with('/') || std::filesystem::is_directory(local, none)) local = join(local, name);
  const split where = split_path(local);
  const std::string parent = where.parent.empty() ? (local.starts_with('/') ? "/" : ".") : where.parent;
  auto here = std::make_shared<const unique_fd>(
      check(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cannot open " + parent));
  sweep(here->get());
  if (top.kind == kind::symlink) {
    try {
      write_symlink(here->get(), where.leaf, target, {top.mode, top.mtime, top.mtime_ns});
    } catch (const std::system_error& e) {
      fail(e.code().value(), "cannot write " + local);
    }
    ++report_.count.links;
  } else if (top.kind == kind::file) {
    group_.spawn(fetch(here, {remote_, local, where.leaf}, top, place()));
    group_.wait();
  } else {
    throw remote_error({EINVAL, std::generic_category()}, "it is neither file, directory nor symlink", false);
  }
  if (!options_.no_sync) check(::syncfs(here->get()), "cannot make durable what is in " + parent);
}

void getter::tree(const entry& top, const std::string& local) {
  local_ = local;
  std::error_code why;
  std::filesystem::create_directories(local, why);
  if (why) fail(why.value(), "cannot create the directory " + local);
  root_ = unique_fd(check(::open(local.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cannot open " + local));
  directories_.push_back({"", top});
  pending_.push_back("");
  pump();
  group_.wait();
  finish_directories();
  if (!options_.no_sync) check(::syncfs(root_.get()), "cannot make durable what is in " + local);
}

void getter::finish_directories() {
  deepest_first(directories_);
  for (const auto& d : directories_) {
    try {
      set_directory(open_dir(root_.get(), d.path).get(), {d.head.mode, d.head.mtime, d.head.mtime_ns});
    } catch (const std::system_error& e) {
      problem(d.path, e);
    }
  }
}

void getter::problem(const std::string& path, const std::system_error& why) {
  report_.problem(join(remote_, path), join(local_, path), why);
}

void getter::pump() {
  const std::lock_guard lock(mutex_);
  if (report_.stopped()) pending_.clear();
  for (; listing_ < window_.lists && !pending_.empty(); ++listing_) {
    std::string next = std::move(pending_.back());
    pending_.pop_back();
    group_.spawn(visit(std::move(next)));
  }
}

asio::awaitable<void> getter::visit(std::string directory) {
  try {
    co_await list(directory);
    ++report_.count.directories;
  } catch (const std::system_error& e) {
    problem(directory, e);
  }
  {
    const std::lock_guard lock(mutex_);
    --listing_;
  }
  pump();
}

asio::awaitable<void> getter::list(std::string directory) {
  bool existed = false;
  auto here = std::make_shared<const unique_fd>(make_dirs(root_.get(), directory, &existed));
  if (existed) sweep(here->get());
  request ask{.op = verb::list, .flags = with_content};
  for (bool end = false; !end && !report_.stopped();) {
    auto packet = co_await packets_.take();
    const answer a = co_await s_.ask(ask, join(remote_, directory), packet.span());
    end = a.end;
    ask.offset = a.cursor;
    if (a.bytes != a.more || (!end && a.count == 0)) bad_answer("list");
    // The next packet is asked for while this one is written.
    if (end)
      co_await unpack_packet(directory, here, std::move(packet), a.more);
    else
      group_.spawn(unpack_packet(directory, here, std::move(packet), a.more));
  }
}

asio::awaitable<void> getter::unpack_packet(std::string directory, shared_dir here, buffer_pool::lease packet,
                                            std::size_t bytes) {
  packet_reader reader(packet.span().subspan(sizeof(reply), bytes));
  while (!reader.at_end() && !report_.stopped()) {
    const auto e = reader.next();
    if (!e) {
      problem(directory, remote_error(e.error()));
      break;
    }
    bool large = false;
    try {
      large = !take(directory, here, *e);
    } catch (const std::system_error& why) {
      problem(join(directory, e->name), why);
    }
    if (!large) continue;
    co_await files_.enter();
    const std::string path = join(directory, e->name);
    group_.spawn(fetch(here, {join(remote_, path), join(local_, path), std::string(e->name)}, e->head, place(files_)));
  }
  pump();
}

bool getter::take(const std::string& directory, const shared_dir& here, const entry_view& e) {
  if (!good_name(e.name)) throw remote_error({EPERM, std::generic_category()}, "it sent a name that may leave", false);
  if (e.head.error) throw remote_error(static_cast<int>(e.head.error));
  switch (e.head.kind) {
    case kind::directory: {
      const std::lock_guard lock(mutex_);
      directories_.push_back({join(directory, e.name), e.head});
      pending_.push_back(join(directory, e.name));
      return true;
    }
    case kind::symlink:
      unpack(here->get(), e, false);
      ++report_.count.links;
      return true;
    case kind::file:
      if (!(e.head.flags & has_content)) return false;
      unpack(here->get(), e, options_.each_fsync);
      ++report_.count.files;
      report_.count.bytes += e.data.size();
      return true;
    default:
      ++report_.count.skipped;
      return true;
  }
}

}  // namespace store
