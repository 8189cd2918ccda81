// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What the conformance tests share. The suite sees kfx's public API only; one small file for each backend says
/// how nodes are reached (`under_test`), and everything else is the same.
///
/// Catch assertions are not thread-safe: they are made on the test's own thread only. Handlers and helper threads
/// record what they see in `findings` and `counter`.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/assert/source_location.hpp>
#include <catch2/catch.hpp>

#include "kfx/kfx.hpp"
#include "random.hpp"

namespace kfx::test {

using namespace std::chrono_literals;

/// How the nodes of this executable are reached.
struct fixture {
  std::string name;        ///< as in conformance-<name>
  std::string listen;      ///< '#' stands for a name that was not used before
  std::string query{};     ///< of the URIs that clients use; '#' stands for a random number
  std::string harsh{};     ///< the same, losing its links every few frames; "": this backend keeps its links
  bool processes = false;  ///< other processes reach it
  bool hosts = false;      ///< its addresses name hosts, and plain sockets reach it
  bool allocated = false;  ///< memory that tests share or send is from node::allocate
  bool one_sided = false;  ///< a peer's memory is reached while its process is stopped

  bool cuts() const { return !harsh.empty(); }
  std::string scheme() const { return listen.substr(0, listen.find(':')); }
};
/// Defined by each executable.
const fixture& under_test();

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// How often something is repeated: from the environment, else the default, which is lower under sanitizers and
/// on backends that lose their links.
std::size_t repeats(const char* variable, std::size_t normal);

/// Nothing a test waits for takes longer than this unless it is broken.
inline constexpr auto patience = 40s;

/// A listen URI nobody has used.
std::string listen_uri();
/// How a client reaches that node: its address, with the fixture's query and more. `harsh`: with that query.
std::string uri_of(const node&, std::string_view more = {}, bool harsh = false);

/// A node and, in caller mode, the thread that drives it. Any thread; destroyed by one.
class host {
 public:
  explicit host(options);
  ~host();
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  node& operator*() noexcept { return *node_; }
  node* operator->() noexcept { return node_.get(); }
  /// Caller mode: this node stands still, as a stopped process would, from the return until `resume`.
  void pause();
  void resume();
  /// The end of the node; the handle stays.
  void destroy();

 private:
  void drive();
  std::unique_ptr<node> node_;
  std::mutex m_;
  std::condition_variable changed_;
  bool quit_ = false;
  bool pause_ = false;
  bool paused_ = false;
  std::thread driver_;
};

/// Options of a listening node and of one that does not listen.
options server_options(kfx::progress = kfx::progress::threads);
options client_options(kfx::progress = kfx::progress::threads);

/// Counts, and wakes who waits for the count.
class counter {
 public:
  void add(std::uint64_t n = 1);
  std::uint64_t value() const;
  /// False when the count does not get there.
  bool reaches(std::uint64_t n, clock::duration limit = patience) const;

 private:
  mutable std::mutex m_;
  mutable std::condition_variable changed_;
  std::uint64_t n_ = 0;
};

/// A door that handlers wait at. Opens at the latest on destruction.
class gate {
 public:
  ~gate() { open(); }
  void open();
  void pass();

 private:
  std::mutex m_;
  std::condition_variable changed_;
  bool open_ = false;
};

/// What went wrong on other threads.
class findings {
 public:
  void add(std::string);
  void check(bool ok, const char* what) {
    if (!ok) add(what);
  }
  /// Fails the test, naming the first few. Test thread.
  void require_none() const;

 private:
  mutable std::mutex m_;
  std::vector<std::string> list_;
};

/// The op's outcome, waited for at most `patience`; a test whose op never ends fails here. Test thread.
template <class T>
result<T> outcome(op<T>& o, const boost::source_location& at = BOOST_CURRENT_LOCATION) {
  (void)o.complete(patience);
  if (!o.ready()) {
    FAIL(at.file_name() << ":" << at.line() << ": no result within "
                        << std::chrono::duration_cast<std::chrono::seconds>(patience).count() << " s: " << o.explain());
  }
  return o.result();
}
template <class T>
result<T> outcome(op<T>&& o, const boost::source_location& at = BOOST_CURRENT_LOCATION) {
  return outcome(o, at);
}

/// The value of an op that has to succeed.
template <class T>
T must(op<T>& o, const boost::source_location& at = BOOST_CURRENT_LOCATION) {
  auto r = outcome(o, at);
  if (!r) FAIL(at.file_name() << ":" << at.line() << ": " << r.error().message() << ": " << o.explain());
  return *r;
}
template <class T>
T must(op<T>&& o, const boost::source_location& at = BOOST_CURRENT_LOCATION) {
  return must(o, at);
}

/// The error an op ended with; none: success.
template <class T>
std::error_code error_of(op<T>& o, const boost::source_location& at = BOOST_CURRENT_LOCATION) {
  auto r = outcome(o, at);
  return r ? std::error_code() : r.error();
}
template <class T>
std::error_code error_of(op<T>&& o, const boost::source_location& at = BOOST_CURRENT_LOCATION) {
  return error_of(o, at);
}

/// Waits for what only polling can tell. Test thread.
void eventually(const std::function<bool()>& condition, const char* what);

/// Whole pages between pages that nobody may touch; the usable part ends at one of them. (Or a buffer of allocate().)
class guarded {
 public:
  explicit guarded(std::size_t bytes);
  ~guarded();
  guarded(guarded&&) noexcept;
  guarded& operator=(guarded&&) = delete;

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  mutable_buffer span() const noexcept { return {data_, size_}; }
  mutable_buffer part(std::size_t offset, std::size_t n) const { return span().subspan(offset, n); }
  void fill(std::byte b) const;
  bool all(std::byte b) const;
  bool has(std::byte b) const;
  /// From now on whoever touches it faults.
  void forbid() const;
  void allow() const;

 private:
  std::byte* base_ = nullptr;
  std::size_t mapped_ = 0;
  buffer allocated_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Random bytes without `poison`; 32 MiB of them.
const_buffer noise();
inline constexpr std::byte poison{0xdb};
/// `n` bytes of noise that begin at a random place.
const_buffer noise(random_source&, std::size_t n);
/// The concatenated pieces hold exactly these bytes.
bool same(const std::vector<const_buffer>& pieces, const_buffer flat);
bool same(const std::vector<mutable_buffer>& pieces, const_buffer flat);
bool same(const_buffer a, const_buffer b);
/// `n` bytes of noise in up to `most` pieces, some of them empty.
std::vector<const_buffer> noise_pieces(random_source&, std::size_t n, std::size_t most);
/// All of `whole` in up to `most` pieces, in any order, some of them empty.
std::vector<mutable_buffer> shuffled_pieces(random_source&, mutable_buffer whole, std::size_t most);

/// Sixteen bytes that most test messages carry: what, and a number.
struct tag {
  std::uint64_t what = 0;
  std::uint64_t id = 0;
  const_buffer bytes() const { return std::as_bytes(std::span(this, 1)); }
  static tag of(const message&);
};
/// For messages whose header does not matter.
inline const tag head{1, 0};

/// A server that shares `memory` as "memory", a client, and its token for it. What handlers use is declared before
/// the world, whose destructor ends both nodes.
struct world {
  explicit world(kfx::progress mode = kfx::progress::threads, std::size_t bytes = 1 << 20,
                 const std::function<void(options& server, options& client)>& change = {});
  ~world();
  /// Set handlers before. `more` and `harsh`: see `uri_of`.
  void connect(std::string_view more = {}, bool harsh = false);

  guarded memory;
  std::unique_ptr<host> server;
  std::unique_ptr<host> client;
  region shared;
  kfx::peer peer;
  remote_region remote;
};

}  // namespace kfx::test
