// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What a transfer tells people and scripts: a progress bar, the problems, a summary.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace store {

/// Counted where it happens; any thread.
struct totals {
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> files{0};
  std::atomic<std::uint64_t> directories{0};
  std::atomic<std::uint64_t> links{0};
  std::atomic<std::uint64_t> skipped{0};  ///< devices, sockets, FIFOs
  std::atomic<std::uint64_t> failed{0};
};

/// Printable, on one line: control characters and backslashes become escapes.
std::string printable(std::string_view);
/// As a JSON string, with its quotes.
std::string json(std::string_view);
/// `"path":…,"error":…`: the members that tell scripts of a failure.
std::string json_failure(std::string_view path, std::string_view error);

/// Any thread.
class report {
 public:
  report(std::string verb, std::string uri, bool as_json);
  ~report();

  totals count;

  /// One file failed: `sentence` for these paths, on stderr. Only the first few are printed.
  void problem(const std::string& remote, const std::string& local, const std::system_error&);
  /// A line on stderr, made printable.
  void note(const std::string& line);
  /// Something went wrong after which going on makes no sense.
  bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }

  void start_bar();
  void stop_bar();
  /// The summary, on stdout. `explain` is the peer's.
  void summary(const std::string& explain);
  /// What there is instead when this kept the transfer from its end; an error of this machine says itself which path
  /// it means. As JSON the same object, for people nothing more.
  void cut_short(const std::string& remote, const std::string& local, const std::system_error&);

 private:
  struct failure {
    std::string path;
    std::string error;
  };

  void add(const std::string& path, const std::string& error);
  void draw();
  void print_json(const std::string& explain);
  double seconds() const;

  const std::string verb_;
  const std::string uri_;
  const bool json_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool bar_ = false;
  std::vector<failure> failures_;  ///< the first ones, for JSON
  std::thread drawing_;
};

}  // namespace store
