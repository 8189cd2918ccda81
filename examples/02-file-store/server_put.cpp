// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// How files arrive at the server.

#include <fcntl.h>
#include <sys/stat.h>

#include <climits>
#include <vector>

#include "await.hpp"
#include "part_file.hpp"
#include "safe_path.hpp"
#include "server.hpp"
#include "tree.hpp"

namespace store {
namespace {

void answer_with(kfx::message& m, const reply& r) { m.reply(std::as_bytes(std::span(&r, 1))); }

/// Works through a packet; what fails is noted and the rest goes on.
class batch_worker {
 public:
  batch_worker(int root, uploads& u, const std::string& base, bool sync)
      : root_(root), uploads_(u), base_(base), sync_(sync) {}

  /// EPROTO when the packet is none; what came before has been done.
  void run(kfx::const_buffer packet) {
    packet_reader reader(packet);
    for (std::uint32_t i = 0; !reader.at_end(); ++i) {
      const auto e = reader.next();
      if (!e) throw std::system_error(e.error(), "packet");
      try {
        one(*e);
      } catch (const std::system_error& why) {
        note(i, why.code().value());
      }
    }
  }
  std::string result() const {
    reply r;
    r.bytes = failed_;
    r.count = static_cast<std::uint32_t>(failures_.size());
    std::string text(sizeof r + failures_.size() * sizeof(failure), '\0');
    std::memcpy(text.data(), &r, sizeof r);
    if (!failures_.empty()) std::memcpy(text.data() + sizeof r, failures_.data(), text.size() - sizeof r);
    return text;
  }

 private:
  void one(const entry_view& e) {
    if (e.head.kind != kind::directory) {
      if (!dir_) fail(lost_, "directory");
      return unpack(dir_.get(), e, sync_);
    }
    dir_.reset();
    try {
      directory(e);
    } catch (const std::system_error& why) {
      lost_ = why.code().value();
      throw;
    }
  }
  void directory(const entry_view& e) {
    const std::string path = clean_path(join(base_, e.name));
    if (e.head.flags & set_attributes) {
      dir_ = open_dir(root_, path);
      return set_directory(dir_.get(), {e.head.mode, e.head.mtime, e.head.mtime_ns});
    }
    bool existed = false;
    dir_ = make_dirs(root_, path, &existed);
    if (existed && (e.head.flags & first_mention)) {
      uploads_.supersede(dir_.get());
      sweep(dir_.get());
    }
  }
  void note(std::uint32_t index, int error) {
    ++failed_;
    if (failures_.size() < max_listed) failures_.push_back({index, static_cast<std::uint32_t>(error)});
  }

  const int root_;
  uploads& uploads_;
  const std::string& base_;
  const bool sync_;
  unique_fd dir_;      ///< where files and symlinks go
  int lost_ = EINVAL;  ///< why there is none
  std::vector<failure> failures_;
  std::uint64_t failed_ = 0;
};

}  // namespace

asio::awaitable<void> server::batch(kfx::message& m, const request& r, std::string path) {
  const std::uint64_t bytes = m.payload_size();
  if (bytes > packet_bytes) fail(EMSGSIZE, "packet");
  const auto share = share_of(m.from());
  co_await share->enter();
  const place turn(*share);
  const auto buffer = co_await buffers_->take();
  const auto packet = buffer.span().first(bytes);
  if (value_of(co_await m.receive(packet, outcome), "receive").bytes != bytes) fail(EPROTO, "packet");
  batch_worker worker(root_.get(), uploads_, path, r.flags & want_fsync);
  worker.run(packet);
  m.reply(worker.result());
}

void server::begin(kfx::message& m, const request& r, const std::string& path) {
  if (r.size > static_cast<std::uint64_t>(LLONG_MAX)) fail(EFBIG, "size");
  const split where = split_path(path);
  if (where.leaf.empty()) fail(EISDIR, "path");
  bool existed = false;
  auto dir = std::make_shared<const unique_fd>(make_dirs(root_.get(), where.parent, &existed));
  if (existed) uploads_.supersede(dir->get(), where.leaf);
  reply head;
  head.id = uploads_.add(m.from(), r.size, dir, where.leaf);
  auto made = uploads_.find(head.id, m.from());
  if (::ftruncate(made->part.fd(), static_cast<off_t>(r.size)) != 0) {
    const int why = errno;
    uploads_.drop(head.id, why);
    fail(why, "size");
  }
  made.reset();  // `finish` wants to be the only one
  answer_with(m, head);
}

asio::awaitable<void> server::chunk(kfx::message& m, const request& r) {
  const auto token = kfx::remote_region::decode(r.token);
  if (!token) throw std::system_error(token.error(), "offer");
  const kfx::peer from = m.from();
  auto to = uploads_.find(r.id, from);
  if (r.length > chunk_bytes || r.length > token->length() || r.offset > to->size || r.length > to->size - r.offset)
    fail(EINVAL, "range");
  const auto share = share_of(from);
  co_await share->enter();
  const place turn(*share);
  const auto buffer = co_await buffers_->take();
  const auto bytes = buffer.span().first(r.length);
  to->still_wanted();
  kfx::op<kfx::done> op = from.read(bytes, *token);
  {
    const upload::moving under_way(*to, op);
    co_await settled(op);
  }
  const auto moved = op.result();
  if (!moved) {
    to->still_wanted();  // or the client would be told of our cancelling, not of what it was for
    throw std::system_error(moved.error(), "read from the offer");
  }
  reply head;
  head.bytes = moved->bytes;
  if (head.bytes != r.length) fail(EPROTO, "short offer");
  try {
    write_at(to->part.fd(), bytes, r.offset);
  } catch (const std::system_error& e) {
    uploads_.drop(r.id, e.code().value());  // gives the space back now, not when the client says so
    throw;
  }
  to.reset();  // `finish` wants to be the only one
  answer_with(m, head);
}

void server::finish(kfx::message& m, const request& r) {
  const auto whole = uploads_.take(r.id, m.from());
  // One chunk still being written would change a file that has its name.
  if (whole.use_count() != 1) fail(EBUSY, "chunks are under way");
  whole->part.publish({r.mode, r.mtime, r.mtime_ns}, r.flags & want_fsync);
  answer_with(m, reply{});
}

void server::remove(kfx::message& m, const request& r, const std::string& path) {
  const split where = split_path(path);
  if (where.leaf.empty()) fail(EBUSY, "the served directory");
  const unique_fd dir = open_dir(root_.get(), where.parent, links::none);
  remove_at(dir.get(), where.leaf, r.flags & recursive);
  answer_with(m, reply{});
}

}  // namespace store
