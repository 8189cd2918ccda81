// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What every link must do, whatever it is made of. A backend's test is one TEST_CASE that calls `link_suite`.

#include "links/link_bench.hpp"

namespace kfx::test {

inline constexpr std::size_t mib = 1u << 20;

/// What the place's links are known to have; the suite fails when they do not.
struct link_traits {
  bool direct = false;
};

/// Runs every section below against fresh pairs from `place`.
void link_suite(const link_place& place, link_traits traits);

// The sections, by what they are about.
void frames_in_order(const link_place&);
void windows_hold_bursts(const link_place&);
void pressure_and_room(const link_place&);
void every_post_reported_once(const link_place&);
void quiesced_sources_are_not_read(const link_place&);
void diverted_landing_is_not_written(const link_place&);
void short_landings(const link_place&);
void close_fences_sources_and_landings(const link_place&);
void close_from_inside(const link_place&);
void closed_while_armed(const link_place&);
void close_is_noticed(const link_place&);

void direct_moves_bytes(const link_place&);
void direct_checks_bounds_and_rights(const link_place&);
void direct_before_frames(const link_place&);
void direct_quiesce(const link_place&);
void withdraw_fences(const link_place&);
void close_fences_shared_memory(const link_place&);

void arm_wakes(const link_place&);
void ping_pong_asleep(const link_place&);
void both_ends_at_once(const link_place&);
void withdraw_against_running_puts(const link_place&);

}  // namespace kfx::test
