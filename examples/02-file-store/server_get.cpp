// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// What the server tells about files, and how their bytes leave.

#include <fcntl.h>

#include <climits>

#include "await.hpp"
#include "part_file.hpp"
#include "safe_path.hpp"
#include "server.hpp"
#include "sparse.hpp"
#include "tree.hpp"

namespace store {
namespace {

kfx::const_buffer bytes_of(const reply& r) { return std::as_bytes(std::span(&r, 1)); }

/// A reply and what follows it, as one header.
std::string with(const reply& head, const void* more, std::size_t bytes) {
  std::string text(sizeof head + bytes, '\0');
  std::memcpy(text.data(), &head, sizeof head);
  if (bytes) std::memcpy(text.data() + sizeof head, more, bytes);
  return text;
}

/// ESTALE unless the open file is the one the client was told about.
void same_file(int fd, const request& r) {
  struct stat st {};
  check(::fstat(fd, &st), "fstat");
  const entry now = describe(st);
  if (now.inode != r.id || now.size != r.size || now.mtime != r.mtime || now.mtime_ns != r.mtime_ns)
    fail(ESTALE, "the file has changed");
}

}  // namespace

void server::stat(kfx::message& m, const std::string& path) {
  const unique_fd fd = open_beneath(root_.get(), path, O_PATH | O_NOFOLLOW, links::inside);
  struct stat st {};
  check(::fstat(fd.get(), &st), "fstat");
  const entry e = describe(st);
  reply r;
  r.kind = e.kind;
  r.flags = e.flags;
  r.mode = e.mode;
  r.size = e.size;
  r.mtime = e.mtime;
  r.mtime_ns = e.mtime_ns;
  r.id = e.inode;
  char target[kfx::limits::header - sizeof r];
  std::size_t length = 0;
  if (e.kind == kind::symlink) {
    length = static_cast<std::size_t>(check(::readlinkat(fd.get(), "", target, sizeof target), "readlink"));
    if (length == sizeof target) fail(ENAMETOOLONG, "the target of a symlink");
  }
  r.bytes = length;
  m.reply(with(r, target, length));
}

void server::extents(kfx::message& m, const request& r, const std::string& path) {
  const unique_fd fd = open_file(root_.get(), path);
  same_file(fd.get(), r);
  const extents_found found = data_extents(fd.get(), r.offset, r.size);
  reply head;
  head.count = static_cast<std::uint32_t>(found.list.size());
  head.cursor = found.next;
  head.end = found.end;
  m.reply(with(head, found.list.data(), found.list.size() * sizeof(extent)));
}

asio::awaitable<void> server::list(kfx::message& m, const request& r, std::string path) {
  const auto share = share_of(m.from());
  co_await share->enter();
  const place turn(*share);
  const auto packet = co_await buffers_->take();
  reply head;
  {
    packet_writer to(packet.span().first(packet_bytes));
    directory_reader dir(open_dir(root_.get(), path, links::inside), r.offset);
    head.cursor = r.offset;
    head.end = 1;
    entry what;
    while (const char* name = dir.next()) {
      if (pack(to, dir.fd(), name, r.flags & with_content, what) == packed::no_room) {
        head.end = 0;
        break;
      }
      head.cursor = dir.cursor();
    }
    head.count = to.count();
    head.bytes = to.bytes();
  }
  const kfx::const_buffer payload = packet.span().first(head.bytes);
  co_await m.reply(bytes_of(head), payload, outcome);
}

asio::awaitable<void> server::read(kfx::message& m, const request& r, std::string path) {
  const auto token = kfx::remote_region::decode(r.token);
  if (!token) throw std::system_error(token.error(), "offer");
  if (r.length > chunk_bytes || r.length > token->length() || r.offset > r.size || r.length > r.size - r.offset)
    fail(EINVAL, "range");
  const kfx::peer from = m.from();
  const auto share = share_of(from);
  co_await share->enter();
  const place turn(*share);
  const auto buffer = co_await buffers_->take();
  const auto bytes = buffer.span().first(r.length);
  {
    const unique_fd fd = open_file(root_.get(), path);
    same_file(fd.get(), r);
    if (read_at(fd.get(), bytes, r.offset) != bytes.size()) fail(ESTALE, "the file became shorter");
  }
  reply head;
  head.bytes = value_of(co_await from.write(bytes, *token, {}, outcome), "write to the offer").bytes;
  m.reply(bytes_of(head));
}

}  // namespace store
