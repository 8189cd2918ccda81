// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What an LNet over kfx must show, on whichever transport KFX_LND_URI names: two hosts in one process, or more, each
/// with NIs of net kfx.

#include <catch2/catch.hpp>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "host.hpp"

namespace lnd_test {

using namespace std::chrono_literals;
using lnet::event;
using lnet::event_type;

/// Nothing a test waits for takes longer than this unless it is broken.
inline constexpr auto patience = 40s;

/// `uri=` for the driver: "%a" for a NID's address; unused so far.
std::string uri_pattern();
/// How often something is repeated: KFX_TEST_ROUNDS or so many.
std::size_t rounds(std::size_t normal);
std::uint64_t seed();

lnet::nid nid_of(unsigned number, unsigned net = 0);  ///< 127.0.0.<number>@kfx<net>

/// A host at one of them.
struct endpoint {
  explicit endpoint(const std::string& uri, unsigned number, lnet::host_options = {});
  endpoint(const std::string& uri, const std::string& networks, lnet::host_options = {});
  lnet::process_id id() const { return host->id(); }
  /// The next event; fails the test when there is none. Test thread.
  event next();
  /// The next one of that type; others are thrown away.
  event next(event_type);
  /// True: there was none within that time.
  bool quiet(std::chrono::milliseconds = 50ms);

  lnet::event_queue_ptr events;
  std::unique_ptr<lnet::host> host;
};

/// Memory in pieces of random lengths, some of them empty, at odd addresses.
class pieces {
 public:
  pieces(std::mt19937_64&, std::size_t bytes, std::size_t most = lnet::max_fragments);
  lnet::fragment_list list;
  std::vector<std::byte> flat() const;
  void fill(const std::vector<std::byte>&);

 private:
  std::vector<std::byte> memory_;
};
std::vector<std::byte> noise(std::mt19937_64&, std::size_t bytes);
/// One piece.
lnet::fragment_list list_of(std::vector<std::byte>&);

/// A target that takes anything at that portal into `memory`.
struct target {
  lnet::me_handle me;
  lnet::md_handle md;
};
target attach_md(endpoint&, unsigned portal, const lnet::fragment_list& memory, unsigned options,
                 int threshold = lnet::threshold_infinite, std::uint64_t bits = 0, std::uint64_t ignore = ~0ull);
lnet::md_handle bind_md(endpoint&, const lnet::fragment_list& memory, int threshold = lnet::threshold_infinite,
                        unsigned options = 0);

}  // namespace lnd_test
