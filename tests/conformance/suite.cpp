// SPDX-License-Identifier: BSD-2-Clause
#include "suite.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace kfx::test {

std::size_t repeats(const char* variable, std::size_t normal) {
  if (const char* text = std::getenv(variable); text && *text) return std::strtoull(text, nullptr, 10);
  std::size_t n = normal;
  if (sanitized) n /= 10;
  if (under_test().cuts()) n /= 4;
  return std::max<std::size_t>(n, 10);
}

namespace {
std::string filled(std::string text, const std::string& with) {
  for (auto at = text.find('#'); at != std::string::npos; at = text.find('#')) text.replace(at, 1, with);
  return text;
}
std::atomic<unsigned> names{0};

std::string query(bool harsh) {
  const fixture& f = under_test();
  static std::atomic<std::uint64_t> number{0};
  return filled(harsh ? f.harsh : f.query, std::to_string(random_source("query", ++number).below(1u << 30)));
}
}  // namespace

std::string listen_uri() {
  const fixture& f = under_test();
  std::string uri = filled(f.listen, "n" + std::to_string(++names) + "-" + std::to_string(::getpid()));
  if (f.cuts()) uri += "?" + query(false);
  return uri;
}

std::string uri_of(const node& n, std::string_view more, bool harsh) {
  const std::string prefix = under_test().scheme() + "://";
  for (const std::string& address : n.addresses()) {
    if (!address.starts_with(prefix)) continue;
    std::string uri = address.substr(0, address.find('?'));
    std::string q = query(harsh);
    if (!more.empty()) q += (q.empty() ? "" : "&") + std::string(more);
    return q.empty() ? uri : uri + "?" + q;
  }
  FAIL("the node lists no address of the scheme " << prefix);
  return {};
}

host::host(options o) : node_(std::make_unique<node>(o)) {
  if (o.progress == kfx::progress::caller) driver_ = std::thread([this] { drive(); });
}
host::~host() { destroy(); }

void host::destroy() {
  {
    std::lock_guard lock(m_);
    quit_ = true;
    changed_.notify_all();
  }
  if (driver_.joinable()) driver_.join();
  node_.reset();
}

void host::drive() {
  for (;;) {
    {
      std::unique_lock lock(m_);
      while (pause_ && !quit_) {
        paused_ = true;
        changed_.notify_all();
        changed_.wait(lock);
      }
      paused_ = false;
      if (quit_) return;
    }
    node_->run_for(1ms);
  }
}

void host::pause() {
  std::unique_lock lock(m_);
  pause_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return paused_ || quit_ || !driver_.joinable(); });
}

void host::resume() {
  std::lock_guard lock(m_);
  pause_ = false;
  changed_.notify_all();
}

options server_options(kfx::progress mode) {
  options o = client_options(mode);
  o.listen = {listen_uri()};
  return o;
}
options client_options(kfx::progress mode) {
  options o;
  o.progress = mode;
  o.backoff = 2ms;
  return o;
}

void counter::add(std::uint64_t n) {
  std::lock_guard lock(m_);
  n_ += n;
  changed_.notify_all();
}
std::uint64_t counter::value() const {
  std::lock_guard lock(m_);
  return n_;
}
bool counter::reaches(std::uint64_t n, clock::duration limit) const {
  std::unique_lock lock(m_);
  return changed_.wait_for(lock, limit, [&] { return n_ >= n; });
}

void gate::open() {
  std::lock_guard lock(m_);
  open_ = true;
  changed_.notify_all();
}
void gate::pass() {
  std::unique_lock lock(m_);
  changed_.wait(lock, [this] { return open_; });
}

void findings::add(std::string what) {
  std::lock_guard lock(m_);
  list_.push_back(std::move(what));
}
void findings::require_none() const {
  std::lock_guard lock(m_);
  if (list_.empty()) return;
  std::string text;
  for (std::size_t i = 0; i < list_.size() && i < 5; ++i) text += "\n  " + list_[i];
  FAIL(list_.size() << " findings:" << text);
}

void eventually(const std::function<bool()>& condition, const char* what) {
  const auto end = clock::now() + patience;
  while (!condition()) {
    if (clock::now() > end) FAIL("did not happen: " << what);
    std::this_thread::sleep_for(200us);
  }
}

namespace {

/// Memory from it outlives it.
buffer allocated(std::size_t bytes) {
  static node n(client_options(progress::caller));
  return n.allocate(bytes, {.huge_pages = false});
}

}  // namespace

guarded::guarded(std::size_t bytes) : size_(bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (under_test().allocated && bytes != 0) {
    allocated_ = allocated(bytes);
    data_ = allocated_.data();
    return;
  }
  const std::size_t usable = std::max<std::size_t>((bytes + page - 1) / page, 1) * page;
  mapped_ = usable + 2 * page;
  void* p = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<std::byte*>(p);
  data_ = base_ + page + usable - bytes;
  if (::mprotect(base_, page, PROT_NONE) != 0 || ::mprotect(base_ + page + usable, page, PROT_NONE) != 0)
    throw std::bad_alloc();
}
guarded::guarded(guarded&& o) noexcept
    : base_(std::exchange(o.base_, nullptr)),
      mapped_(o.mapped_),
      allocated_(std::move(o.allocated_)),
      data_(o.data_),
      size_(o.size_) {}
guarded::~guarded() {
  if (base_) ::munmap(base_, mapped_);
}
void guarded::fill(std::byte b) const { std::memset(data_, static_cast<int>(b), size_); }
bool guarded::all(std::byte b) const {
  return std::all_of(data_, data_ + size_, [b](std::byte x) { return x == b; });
}
bool guarded::has(std::byte b) const { return size_ && std::memchr(data_, static_cast<int>(b), size_) != nullptr; }
void guarded::forbid() const {
  if (base_)
    ::mprotect(base_, mapped_, PROT_NONE);
  else
    ::mprotect(data_, size_, PROT_NONE);
}
void guarded::allow() const {
  if (!base_) {
    ::mprotect(data_, size_, PROT_READ | PROT_WRITE);
    return;
  }
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  ::mprotect(base_ + page, mapped_ - 2 * page, PROT_READ | PROT_WRITE);
}

tag tag::of(const message& m) {
  tag t;
  const const_buffer h = m.header();
  std::memcpy(&t, h.data(), std::min(h.size(), sizeof t));
  return t;
}

world::world(kfx::progress mode, std::size_t bytes, const std::function<void(options&, options&)>& change)
    : memory(bytes) {
  options s = server_options(mode);
  options c = client_options(mode);
  if (change) change(s, c);
  server = std::make_unique<host>(s);
  client = std::make_unique<host>(c);
  shared = (*server)->share(memory.span(), access::read_write);
  (*server)->publish("memory", shared);
}

world::~world() {
  client->destroy();
  server->destroy();
}

void world::connect(std::string_view more, bool harsh) {
  peer = (*client)->at(uri_of(**server, more, harsh));
  remote = must(peer.open("memory"));
}

}  // namespace kfx::test
