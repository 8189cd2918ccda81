// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Controls of the test backends: what tests say to them, and what they did. Any thread.
///
/// `faulty+<scheme>://…?seed=3&cut=200&delay=1&partial=1&lost_acks=1&dup=1` is any backend with faults:
///
/// | query | fault (absent or 0: none) |
/// |---|---|
/// | `seed` | of all of them, 1 when absent |
/// | `cut=N` | the link dies in both directions after N frames or puts on the average |
/// | `delay=N` | polls find nothing for some time, up to 8 N polls |
/// | `partial=1` | windows are smaller than they could be, posts and puts find no room, polls bring fewer frames |
/// | `lost_acks=1` | every second cut is preceded by a time in which nothing that comes back arrives (`cut` 200 if
/// absent) | | `dup=1` | every attempt connects twice and uses either connection |
///
/// They hold for the side whose URI says so. Listening, `address()` leaves them out, so the connecting side says its
/// own. During a connection's first frames faults are rarer, not absent.

#include <atomic>
#include <cstdint>
#include <string_view>

namespace kfx::test {

/// Registers `sim` and `faulty+<scheme>` for every backend there is. Again is harmless.
void register_test_backends();

namespace faults {

struct counters {
  std::atomic<std::uint64_t> cuts{0};          ///< links that died by a fault
  std::atomic<std::uint64_t> swallowed{0};     ///< frames and completions that were lost before a cut
  std::atomic<std::uint64_t> delays{0};        ///< times a poll began to hold frames back
  std::atomic<std::uint64_t> refusals{0};      ///< windows, posts and puts that found no room without need
  std::atomic<std::uint64_t> duplicates{0};    ///< connections made for nothing
  std::atomic<std::uint64_t> dropped_puts{0};  ///< sim: puts that were never placed
  std::atomic<std::uint64_t> stale_puts{0};    ///< sim: puts placed after their initiator had closed its link
};
counters& counts();
void reset_counts();

/// Off: no new faults by chance (links that are losing acks are still cut; `cut_all` works). On at the start.
void enable(bool);
bool enabled();

/// Cuts every live faulty or sim link whose address contains `name` ("": all). Their threads notice at their
/// next poll, from which they are woken. How many there were.
unsigned cut_all(std::string_view name = {});

}  // namespace faults

namespace sim {
/// `faults::cut_all`, for simulated links only.
unsigned cut(std::string_view name = {});
}  // namespace sim

}  // namespace kfx::test
