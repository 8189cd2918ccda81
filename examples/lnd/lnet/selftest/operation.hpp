// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Something that goes on over several MDs at once, by a deadline: either side of an RPC.

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <span>

#include "endpoint.hpp"

namespace lnet::selftest {

/// Events come on any thread and only leave a note; `proceed` runs for one thread at a time, and again when there was
/// another note meanwhile. All that a window is made of belongs to `proceed` once nothing is linked.
class operation : public task {
 public:
  explicit operation(endpoint&);
  void tick(clock::time_point now) noexcept;
  /// Has `proceed` run: on one of the threads, or soon on this one.
  void wake() noexcept;
  void wake_here() noexcept;
  /// Nothing is under way, and no event will come.
  bool idle() noexcept;

  static void on_event(const event&);

 protected:
  ~operation();

  /// A piece of memory that LNet has for one transfer.
  struct window {
    operation* owner = nullptr;
    md_handle md{};
    bool linked = false;
    bool eager = false;  ///< `proceed` is to run when this ends, though others last
    int status = 0;      ///< the first that was bad
    std::size_t moved = 0;
    bool done = false;  ///< it took what it was for
  };

  virtual void proceed() noexcept = 0;

  /// A new undertaking: no trouble so far.
  void arm(clock::time_point deadline) noexcept;
  /// While nothing is linked: this undertaking is over, and what was noted of it. Others may use the object then.
  void settle() noexcept;
  // One transfer each. 0, or -errno: then there will be no event.
  int expose(window&, std::uint64_t bits, fragment, unsigned options) noexcept;
  int send(window&, fragment, const process_id& to, unsigned portal, std::uint64_t bits) noexcept;
  int fetch(window&, fragment, const process_id& from, unsigned portal, std::uint64_t bits) noexcept;
  void withdraw(window&) noexcept;

  bool quiet() noexcept;     ///< nothing is linked
  bool troubled() noexcept;  ///< something failed, or it is late
  bool late() noexcept;
  /// What this window was for has happened, and its memory is ours.
  bool through(const window&) noexcept;

  endpoint& endpoint_;

 private:
  void run() noexcept final;
  void happened(window&, const event&) noexcept;
  bool activate() noexcept;
  void link(window&, bool eager) noexcept;
  void unlink(window&) noexcept;
  memory_descriptor descriptor(window&, fragment, unsigned options, int threshold) const;

  std::mutex mutex_;
  unsigned linked_ = 0;
  bool trouble_ = false;
  bool late_ = false;
  bool active_ = false;  ///< `proceed` runs or is about to
  bool again_ = false;
  std::atomic<clock::time_point> deadline_{clock::time_point::max()};
};

}  // namespace lnet::selftest
