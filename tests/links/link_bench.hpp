// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a test of a link stands on: two connected ends, frames of known content, a sink that checks them.

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kfx/backend/backend.hpp"
#include "memory/slab.hpp"

namespace kfx::test {

using rng = std::mt19937_64;
using bytes = std::vector<std::byte>;

/// KFX_TEST_SEED, or a new one; printed, so that a failure can be repeated.
std::uint64_t seed_for(const char* what);
/// Log-uniform in [0, most]: as many tiny sizes as huge ones.
std::size_t random_size(rng&, std::size_t most);
bytes random_bytes(rng&, std::size_t);

/// Where a link under test comes from.
struct link_place {
  std::string listen;         ///< URI to listen at
  std::string connect_query;  ///< "key=value&…", added to the listener's address by the connecting side
  bool allocated = false;     ///< memory that is shared comes from what is behind node::allocate
};

/// A link to itself: both ends, made by the backend of the place's scheme.
class connected {
 public:
  explicit connected(const link_place&);
  backend::link& a() { return *ends_[0]; }
  backend::link& b() { return *ends_[1]; }
  /// Closes the end for good and frees it.
  void drop(unsigned end) { ends_[end].reset(); }

 private:
  boost::asio::io_context io_;
  options options_;
  backend::context context_;
  std::unique_ptr<backend::listener> listener_;
  std::unique_ptr<backend::link> ends_[2];
};

/// A frame: head with random extension words and fields, then the body.
struct frame {
  bytes head;
  bytes body;
  bool operator==(const frame&) const = default;
};
frame random_frame(rng&, std::size_t body);

/// Pages that can be taken away: touching them afterwards ends the process.
class pages {
 public:
  explicit pages(std::size_t size, bool allocated = false);
  ~pages();
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;
  std::byte* data() { return data_; }
  std::size_t size() const { return size_; }
  mutable_buffer all() { return {data_, size_}; }
  std::byte* begin() { return data_; }
  std::byte* end() { return data_ + size_; }
  bool holds(const bytes& b) const { return std::equal(b.begin(), b.end(), data_, data_ + size_); }
  void take_away();

 private:
  std::shared_ptr<memory::slab> allocated_;
  std::byte* data_;
  std::size_t size_;
};

/// Keeps everything a link reports.
struct recorder : backend::frame_sink {
  std::deque<frame> frames;
  std::map<backend::cookie, int> sent, quiet;
  std::map<backend::cookie, std::vector<std::error_code>> direct;
  /// Where a large body goes; by default to memory of the recorder's own.
  std::function<std::span<const mutable_buffer>(std::size_t)> landing;
  std::size_t bulks = 0, bulks_done = 0;

  bool in_bulk() const { return bulks != bulks_done; }
  bool on_frame(const_buffer head, const_buffer body) override;
  std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t size) override;
  bool on_bulk_done() override;
  void on_sent(backend::cookie c) override { ++sent[c]; }
  void on_quiet(backend::cookie c) override { ++quiet[c]; }
  void on_direct(backend::cookie c, std::error_code e) override { direct[c].push_back(e); }

 private:
  frame bulk_;
  mutable_buffer own_[1];
  bool own_landing_ = false;
};

/// One-sided access whose ends are all in the recorder, also of what is done at once.
struct reported {
  backend::remote_memory& memory;
  recorder& seen;

  const backend::memory_caps& caps() const { return memory.caps(); }
  /// False: no room.
  bool put(backend::direct_key key, std::uint64_t offset, std::span<const const_buffer> from, backend::cookie id) {
    return note(memory.put(key, offset, from, id), id);
  }
  bool get(backend::direct_key key, std::uint64_t offset, std::span<const mutable_buffer> into, backend::cookie id) {
    return note(memory.get(key, offset, into, id), id);
  }
  bool flush(backend::cookie id) { return memory.flush(id); }

 private:
  bool note(backend::started begun, backend::cookie id) {
    if (begun == backend::started::done) seen.direct[id].push_back({});
    return begun != backend::started::no_room;
  }
};

/// One end with its sink.
struct side {
  explicit side(backend::link& l) : link(l) {}
  backend::link& link;
  recorder seen;
  std::error_code error;

  reported direct() { return {*link.direct(), seen}; }
  /// One flush and one poll; true when something came.
  bool turn(unsigned budget = 64);
  /// Builds the frame in the link's window; false: no room.
  bool build(const frame&);
  bool post(const frame& f, backend::cookie c) {
    const const_buffer body(f.body);
    return link.post(f.head, std::span(&body, 1), c);
  }
};

/// Turns both ends until `done`, at most 30 s (a bound for failures only); false when that was not enough.
bool turn_until(side& a, side& b, const std::function<bool()>& done);
bool turn_until(side& a, const std::function<bool()>& done);

}  // namespace kfx::test
