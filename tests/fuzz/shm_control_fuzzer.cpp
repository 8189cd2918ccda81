// SPDX-License-Identifier: BSD-2-Clause
// What a process says over the socket of a shm link and in the pages it shares: the handshake, keys and files, the
// words by which memory is taken back. Real sockets, files and mappings; only the kernel's access to another process is
// played, since the other process is this one.
//
// Input: the handshake, then what both sides do.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <set>

#include "backends/shm/shm_handshake.hpp"
#include "backends/shm/shm_imports.hpp"
#include "backends/shm/shm_page.hpp"
#include "kfx/error.hpp"
#include "script.hpp"
#include "tests/support/give.hpp"
#include "tests/support/open_files.hpp"
#include "wire/ring_link.hpp"

using namespace kfx;
using namespace kfx::fuzz;
using shm::control;

namespace {

constexpr std::size_t pages_bytes = shm::ring_offset + shm::ring_bytes;
constexpr std::size_t file_bytes = 8192;
constexpr std::uint64_t pages_at = 0x100000;  ///< where the peer says its pages are
constexpr std::byte fresh{0x5a};

shm::descriptor make_file(std::size_t bytes, int seals) {
  shm::descriptor d(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  require(::ftruncate(d.get(), static_cast<off_t>(bytes)) == 0);
  if (seals != 0) require(::fcntl(d.get(), F_ADD_SEALS, seals) == 0);
  return d;
}

/// What the peer has to give, and what it sees of it. Made once: each run begins with it as new.
struct belongings {
  shm::descriptor pages = make_file(pages_bytes, F_SEAL_SHRINK | F_SEAL_GROW);
  shm::descriptor bell = make_file(shm::bell_bytes, F_SEAL_SHRINK | F_SEAL_GROW);
  shm::descriptor files[2] = {make_file(file_bytes, F_SEAL_SHRINK), make_file(file_bytes, F_SEAL_SHRINK)};
  shm::descriptor open = make_file(file_bytes, 0);
  shm::descriptor small = make_file(100, F_SEAL_SHRINK);
  shm::descriptor device{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  shm::mapping seen_pages{pages.get(), pages_bytes, true};
  shm::mapping seen_files[2] = {{files[0].get(), file_bytes, true}, {files[1].get(), file_bytes, true}};

  shm::page& page() const { return *reinterpret_cast<shm::page*>(seen_pages.data()); }
  int fd(unsigned n) const {
    const int all[] = {pages.get(), bell.get(), files[0].get(), files[1].get(), open.get(), small.get(), device.get()};
    return all[n % std::size(all)];
  }
  void renew() const {
    std::memset(seen_pages.data(), 0, pages_bytes);
    for (const auto& f : seen_files) std::memset(f.data(), static_cast<int>(fresh), file_bytes);
  }
};
belongings& own() {
  static belongings b;
  return b;
}

/// What the peer's process is, to the kernel.
struct neighbour_process {
  bool reachable = false;
  bool listening = false;                     ///< accesses are allowed now
  std::uint64_t begin = UINT64_MAX, end = 0;  ///< what may be touched there, beside the pages
  std::uint8_t answer = 0;                    ///< a call that fails, falls short, or neither
};
neighbour_process process;

ssize_t accessed(const iovec* here, unsigned long n, const iovec* there, unsigned long m, std::size_t word) {
  std::size_t local = 0, remote = 0;
  for (unsigned long i = 0; i < n; ++i) local += here[i].iov_len;
  for (unsigned long i = 0; i < m; ++i) remote += there[i].iov_len;
  require(process.listening && process.reachable && local == remote && m == 2);
  const auto at = reinterpret_cast<std::uintptr_t>(there[0].iov_base);
  require(at >= process.begin && at <= process.end && there[0].iov_len <= process.end - at);
  require(reinterpret_cast<std::uintptr_t>(there[1].iov_base) == pages_at + word && there[1].iov_len == 8);
  if (process.answer % 4 == 1) return -1;
  return static_cast<ssize_t>(process.answer % 4 == 2 ? local / 2 : local);
}

}  // namespace

extern "C" ssize_t process_vm_readv(pid_t, const iovec* here, unsigned long n, const iovec* there, unsigned long m,
                                    unsigned long) {
  const auto at = reinterpret_cast<std::uintptr_t>(there[0].iov_base);
  if (m == 1 && at == pages_at + offsetof(shm::page, nonce)) {
    if (!process.reachable) return -1;
    std::memcpy(here[0].iov_base, own().page().nonce.data(), here[0].iov_len);
    return static_cast<ssize_t>(here[0].iov_len);
  }
  if (m == 1) return static_cast<ssize_t>(here[0].iov_len);  // a measurement, which finds it fast
  return accessed(here, n, there, m, offsetof(shm::page, zero));
}
extern "C" ssize_t process_vm_writev(pid_t, const iovec* here, unsigned long n, const iovec* there, unsigned long m,
                                     unsigned long) {
  return accessed(here, n, there, m, offsetof(shm::page, done));
}

namespace {

class play final : public backend::frame_sink {
 public:
  play(const std::uint8_t* data, std::size_t size) : script_(data, size) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    socket_ = shm::descriptor(ends[0]);
    other_ = shm::descriptor(ends[1]);
    own().renew();
    own().page().nonce = {1, 2};
  }
  ~play() override { process = neighbour_process(); }

  void run() {
    if (!shake_hands()) return;
    for (unsigned i = 0; i < 200 && !script_.ended() && !closed_; ++i) step();
    link_->close();
    closed_ = true;
    require(link_->poll(*this, 1).error == std::errc::connection_reset);
  }

  bool on_frame(const_buffer, const_buffer) override { return true; }
  std::span<const mutable_buffer> on_bulk(const_buffer, std::size_t) override { return {}; }
  bool on_bulk_done() override { return true; }
  void on_sent(backend::cookie) override { std::abort(); }
  void on_quiet(backend::cookie) override { std::abort(); }
  void on_direct(backend::cookie id, std::error_code) override { require(!closed_ && started_.erase(id) == 1); }

 private:
  bool shake_hands() {
    const std::uint8_t how = script_.u8();
    const bool connecting = how & 1;
    const auto way = static_cast<shm::bulk>(how >> 1 & 3);
    process.reachable = how & 8;
    struct {
      std::uint32_t magic = 0x6d687366, version = 1;
      std::uint64_t ring = shm::ring_bytes, pages = pages_at;
      std::uint32_t way, reserved = 0;
    } greeting;
    greeting.way = static_cast<std::uint32_t>(way);
    std::vector<int> give{own().fd(0)};
    if (!connecting) give.push_back(own().fd(1));
    std::size_t bytes = sizeof greeting;
    if (how & 64) {
      const std::size_t at = script_.u8() % sizeof greeting;
      const std::uint64_t value = script_.odd();
      std::memcpy(reinterpret_cast<char*>(&greeting) + at, &value, std::min(sizeof value, sizeof greeting - at));
      give.assign(script_.u8() % 4, own().fd(script_.u8()));
      if (how & 16) bytes = script_.u8() % (sizeof greeting + 1);
    }
    say(&greeting, bytes, give);
    if (how & 128) ::shutdown(socket_.get(), SHUT_WR);
    std::variant<std::unique_ptr<backend::ring_pair>, backend::failure> made;
    boost::asio::io_context io;
    boost::asio::co_spawn(io, shm::exchange_memory(io, std::move(other_), "fuzz", connecting, way),
                          [&](std::exception_ptr thrown, auto outcome) {
                            require(!thrown);
                            made = std::move(outcome);
                          });
    io.run();
    if (const auto* f = std::get_if<backend::failure>(&made)) require(f->code && !f->why.empty());
    if (made.index() != 0) return false;
    link_ = std::make_unique<wire::ring_link>(std::move(std::get<0>(made)));
    mapped_only_ = way == shm::bulk::mapped;
    return true;
  }

  void step() {
    switch (script_.u8() % 12) {
      case 0:
      case 1:
      case 2:
        return say_control();
      case 3:
        return say_bytes();
      case 4:
        own().page().live[script_.odd() % shm::most_keys].store(key());
        return;
      case 5:
        return scribble();
      case 6:
      case 7:
        return put();
      case 8:
        return get();
      case 9:
        return share();
      case 10:
        return turn();
      default:
        if (script_.u8() % 8) return;
        closed_ = true;
        started_.clear();
        link_->close();
    }
  }
  /// A few keys, of two slots, and any.
  std::uint32_t key() {
    const std::uint8_t k = script_.u8();
    return k < 250 ? static_cast<std::uint32_t>(4096 * (k % 4) + k / 4 % 2) : script_.u32();
  }
  void say_control() {
    control c;
    c.what = script_.u8() % 16 < 15 ? control::mapped : script_.u8() % 5;
    c.what = script_.u8() % 4 == 0 ? script_.u8() % 5 : c.what;
    c.key = key();
    c.file = static_cast<std::uint32_t>(script_.odd() % 4);
    c.rights = script_.u8() % 4;
    c.length = script_.u8() % 8 ? file_bytes - script_.u8() : script_.odd();
    c.size = script_.u8() % 8 ? file_bytes : script_.odd();
    c.address = script_.u8() % 8 ? 0x7000'0000 : script_.u64();
    std::vector<int> give;
    const std::uint8_t g = script_.u8();
    if (g % 4 < 2) give.assign(1, own().fd(2 + g % 4));
    if (g >= 224) give.assign(g % 8, own().fd(g / 8));
    if (!give.empty() && give.size() > 3) give.resize(3);
    if (c.what == control::cross && c.address <= UINT64_MAX - c.length) {
      process.begin = std::min(process.begin, c.address);
      process.end = std::max(process.end, c.address + c.length);
    }
    if (script_.u8() % 2) own().page().live[shm::slot_of(c.key)].store(c.key);
    say(&c, sizeof c, give);
  }
  void say_bytes() {
    const auto b = script_.bytes(script_.u8() % 64);
    say(b.data(), b.size(), {});
  }
  void say(const void* bytes, std::size_t n, const std::vector<int>& descriptors) const {
    (void)kfx::test::give(socket_.get(), bytes, n, descriptors, MSG_DONTWAIT);
  }
  /// Anything in the pages but `reaches`: a peer that is let into memory through the kernel is waited for as long as it
  /// says that it is inside.
  void scribble() {
    const std::size_t at = script_.odd() % pages_bytes;
    const auto b = script_.bytes(1 + script_.u8() % 16);
    const std::size_t n = std::min(b.size(), pages_bytes - at);
    if (n > 0) std::memcpy(own().seen_pages.data() + at, b.data(), n);
    own().page().reaches.store(shm::reach::no);
  }

  void put() {
    const std::uint32_t k = key();
    const std::uint64_t offset = script_.odd();
    const std::size_t bytes = script_.u16() % 9000;
    const std::vector<std::byte> from(bytes, std::byte{0xa5});
    const const_buffer parts[] = {const_buffer(from).first(bytes / 2), const_buffer(from).subspan(bytes / 2)};
    access_memory([&](backend::remote_memory& m) { return m.put(k, offset, parts, ++last_id_); });
    unsigned touched = 0;
    for (const auto& f : own().seen_files) {
      const std::span<std::byte> all(f.data(), file_bytes);
      const std::size_t begin = std::min<std::uint64_t>(offset, file_bytes), end = std::min(begin + bytes, file_bytes);
      touched += begin != end && all[begin] != fresh;
      for (std::size_t i = 0; i < file_bytes; ++i)
        require(all[i] == fresh || (i >= begin && i < end && all[i] == std::byte{0xa5}));
      std::memset(all.data(), static_cast<int>(fresh), file_bytes);
    }
    require(touched <= 1);
  }
  void get() {
    const std::uint32_t k = key();
    const std::uint64_t offset = script_.odd();
    const std::size_t bytes = script_.u16() % 9000;
    const auto into = std::make_unique<std::byte[]>(bytes);
    const mutable_buffer parts[] = {{into.get(), bytes / 3}, {into.get() + bytes / 3, bytes - bytes / 3}};
    access_memory([&](backend::remote_memory& m) { return m.get(k, offset, parts, ++last_id_); });
    for (std::size_t i = 0; i < bytes; ++i) require(into[i] == std::byte{} || into[i] == fresh);
  }
  template <class F>
  void access_memory(F&& f) {
    backend::remote_memory* m = link_->direct();
    if (!m) return;
    process.answer = script_.u8();
    process.listening = !mapped_only_;
    if (f(*m) == backend::started::under_way) started_.insert(last_id_);
    process.listening = false;
  }
  void share() {
    backend::remote_memory* m = link_->direct();
    if (!m) return;
    const auto s = memory::slab::make({5000, -1, false});
    const mutable_buffer all(s->data(), 5000);
    const auto k = m->share(std::span(&all, 1), access::read_write, backend::sharing::lasting);
    if (!k) return;
    const std::uint8_t how = script_.u8();
    // Once: it costs milliseconds, and a barrier across all processors.
    if (how % 32 == 0 && !std::exchange(claimed_, true)) {
      own().page().busy.at.store(script_.odd());
      own().page().busy.stamp.store(*k);
    }
    m->withdraw(*k);
    own().page().busy.stamp.store(0);
  }
  void turn() {
    const std::error_code flushed = link_->flush(*this);
    require(!flushed || flushed == dead_);
    (void)link_->arm();
    const auto p = link_->poll(*this, 8);
    require(!dead_ || p.error == dead_);
    if (p.error) require(p.error == errc::protocol_error || p.error == std::errc::connection_reset);
    dead_ = p.error;
  }

  script script_;
  shm::descriptor socket_, other_;
  std::unique_ptr<wire::ring_link> link_;
  std::set<backend::cookie> started_;
  backend::cookie last_id_ = 0;
  std::error_code dead_;
  bool mapped_only_ = false;
  bool claimed_ = false;  ///< to be inside for ever
  bool closed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  own();
  const std::size_t before = test::open_files();
  { play(data, size).run(); }
  require(test::open_files() == before);
  return 0;
}
