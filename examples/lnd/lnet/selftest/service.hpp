// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The answering side of tests: any node serves anybody's pings and brws, in a session or not; so a server that was
/// restarted serves at once again.

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "counters.hpp"
#include "endpoint.hpp"
#include "operation.hpp"

namespace lnet::selftest {

struct service_options {
  std::size_t buffers = 256;   ///< of 1 MiB at most, for either direction; further requests wait for one
  std::size_t waiting = 4096;  ///< at most, then they are refused (EBUSY)
  // For tests of the test.
  std::uint64_t corrupt_nth = 0;  ///< the n-th brw's bytes get a wrong one, 1 being the first; 0: none
  std::size_t corrupt_at = 0;     ///< which byte, of those there are the last at most
};

class service {
 public:
  service(endpoint&, node_counters&, service_options);
  ~service();

 private:
  class job;
  /// Memory of brws: bytes to be PUT, which stay as they are, or room for what is fetched.
  struct buffer {
    page_buffer memory;
    std::uint64_t seed = 0;
    std::size_t offset = 0, filled = 0;  ///< `filled` bytes behind the offset have the pattern of `made_for`
    check made_for = check::none;
    std::size_t round = 0;
  };
  struct pool {
    std::vector<std::unique_ptr<buffer>> all;
    std::vector<buffer*> free;
    std::deque<job*> waiting;
  };

  void arrived(const process_id& from, std::span<const std::byte>);
  job* idle_job();
  void done(job&) noexcept;
  /// Null: `status` is 0 and the job is woken when there is one, or it says why there will be none.
  buffer* take(job&, operation_kind, int& status);
  void give(buffer&, operation_kind) noexcept;
  bool to_be_corrupted() noexcept;

  endpoint& endpoint_;
  node_counters& counters_;
  const service_options options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<job>> jobs_;
  std::vector<job*> idle_;
  pool sources_, sinks_;
  std::atomic<std::uint64_t> bulks_{0};
  request_portal portal_;
};

}  // namespace lnet::selftest
