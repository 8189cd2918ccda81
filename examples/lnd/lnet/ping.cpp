// SPDX-License-Identifier: BSD-2-Clause
// Pings: a GET, at the reserved portal, of the NIDs that a host has. Little-endian: u32 magic, u32 features, u32 pid,
// u32 count; for each NI u64 nid, u32 status, u32 unused.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "core.hpp"

namespace lnet {

namespace {

constexpr std::uint64_t ping_bits = std::uint64_t{1} << 63;
constexpr std::uint32_t ping_magic = 0x70696e67, ping_features = 1;
constexpr std::uint32_t ni_up = 0x15aac0de, ni_down = 0xdeadface;
constexpr std::size_t head_size = 16, entry_size = 16, most_entries = 128;

void append(std::vector<std::byte>& to, std::uint64_t v, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) to.push_back(static_cast<std::byte>(v >> (8 * i)));
}

std::uint64_t number(std::span<const std::byte> from, std::size_t at, unsigned bytes) {
  std::uint64_t v = 0;
  for (unsigned i = 0; i < bytes; ++i) v |= std::to_integer<std::uint64_t>(from[at + i]) << (8 * i);
  return v;
}

/// False: it is none.
bool read_answer(std::span<const std::byte> text, std::vector<nid>& found) {
  if (text.size() < head_size || number(text, 0, 4) != ping_magic) return false;
  const std::size_t count = std::min<std::size_t>(number(text, 12, 4), (text.size() - head_size) / entry_size);
  for (std::size_t i = 0; i < count; ++i) {
    const nid id = nid::unpack(number(text, head_size + i * entry_size, 8));
    if (!id.is_loopback() && !id.is_any()) found.push_back(id);
  }
  return true;
}

}  // namespace

void core::offer_ping_answer() {
  const auto nis = paths_->nis();
  const auto text = std::make_shared<std::vector<std::byte>>();
  append(*text, ping_magic, 4);
  append(*text, ping_features, 4);
  append(*text, options_.pid, 4);
  append(*text, std::min(nis.size(), most_entries), 4);
  for (std::size_t i = 0; i < std::min(nis.size(), most_entries); ++i) {
    // The loopback NI comes first there.
    const ni_info& n = nis[(i + nis.size() - 1) % nis.size()];
    append(*text, n.nid.packed(), 8);
    append(*text, n.up ? ni_up : ni_down, 4);
    append(*text, 0, 4);
  }
  memory_descriptor d;
  d.memory = {*text};
  d.options = md_op_get | md_manage_remote | md_truncate;
  d.events = std::make_shared<event_queue>([text](const event&) {});
  const me_handle before = std::exchange(ping_entry_, {});
  md_handle unused;
  things.attach_me(reserved_portal, {}, ping_bits, 0, unlink_op::unlink, insert_position::before, ping_entry_);
  attach_md(ping_entry_, d, unlink_op::retain, unused);
  if (before) unlink_me(before);
}

/// `done` is called once, when the memory is free again.
md_handle core::start_ping(nid self, nid target, bool once, pinged done) {
  struct probe {
    std::vector<std::byte> sink = std::vector<std::byte>(head_size + most_entries * entry_size);
    int status = -ETIMEDOUT;
    std::size_t came = 0;
  };
  const auto p = std::make_shared<probe>();
  memory_descriptor d;
  d.memory = {p->sink};
  d.threshold = 2;
  d.events = std::make_shared<event_queue>([p, done = std::move(done)](const event& e) {
    if (e.type == event_type::reply || (e.type == event_type::send && e.status != 0)) {
      p->status = e.status;
      p->came = e.mlength;
    }
    if (!e.unlinked) return;
    std::vector<nid> found;
    if (p->status == 0 && !read_answer(std::span(p->sink).first(p->came), found)) p->status = -EPROTO;
    done(p->status, found);
  });
  md_handle handle;
  things.bind(d, unlink_op::unlink, handle);
  const int rc = get(self, handle, {target, any_pid}, reserved_portal, ping_bits, 0, reach::exactly, once);
  if (rc != 0) {
    p->status = rc;
    unlink_md(handle);
  }
  return handle;
}

int core::ping(nid target, std::chrono::milliseconds limit, std::vector<nid>& found) {
  struct outcome {
    std::mutex mutex;
    std::condition_variable over;
    bool is_over = false;
    int status = 0;
    std::vector<nid> found;
  };
  if (closing()) return -ESHUTDOWN;
  const auto o = std::make_shared<outcome>();
  const md_handle handle = start_ping(nid::any(), target, false, [o](int status, const std::vector<nid>& list) {
    std::lock_guard lock(o->mutex);
    o->is_over = true;
    o->status = status;
    o->found = list;
    o->over.notify_one();
  });
  std::unique_lock lock(o->mutex);
  if (!o->over.wait_for(lock, limit, [&] { return o->is_over; })) {
    lock.unlock();
    // What it waits with stays alive until the driver lets go of it.
    unlink_md(handle);
    return -ETIMEDOUT;
  }
  if (o->status != 0) return o->status;
  found = o->found;
  // Its first NID is what it is known by, if there is a way to it.
  if (std::find(found.begin(), found.end(), target) != found.end())
    for (const nid id : found)
      if (paths_->join(id, found, false) == 0) break;
  return 0;
}

}  // namespace lnet
