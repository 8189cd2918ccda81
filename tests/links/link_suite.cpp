// SPDX-License-Identifier: BSD-2-Clause
#include "links/link_suite.hpp"

#include <catch2/catch.hpp>

namespace kfx::test {

void link_suite(const link_place& place, link_traits traits) {
  SECTION("frames arrive in order and byte for byte") { frames_in_order(place); }
  SECTION("a window holds a burst of frames") { windows_hold_bursts(place); }
  SECTION("a full link says so, and has room again later") { pressure_and_room(place); }
  SECTION("every post is reported sent exactly once") { every_post_reported_once(place); }
  SECTION("a quiesced source is not read any more") { quiesced_sources_are_not_read(place); }
  SECTION("a diverted landing is not written any more") { diverted_landing_is_not_written(place); }
  SECTION("a landing shorter than the body gets what fits") { short_landings(place); }
  SECTION("close fences lent sources and landings") { close_fences_sources_and_landings(place); }
  SECTION("a sink closes the link that calls it") { close_from_inside(place); }
  SECTION("a link that was armed is closed") { closed_while_armed(place); }
  SECTION("the other end notices a close") { close_is_noticed(place); }
  SECTION("an armed descriptor signals a frame") { arm_wakes(place); }
  SECTION("two sleepers wake each other") { ping_pong_asleep(place); }
  SECTION("both ends at once, each on its thread") { both_ends_at_once(place); }
  if (!traits.direct) {
    SECTION("there is no one-sided access") {
      connected link(place);
      CHECK_FALSE(link.a().direct());
      CHECK_FALSE(link.b().direct());
    }
    return;
  }
  SECTION("put and get move the right bytes") { direct_moves_bytes(place); }
  SECTION("bounds, rights and stale keys are refused") { direct_checks_bounds_and_rights(place); }
  SECTION("a put is seen before what follows it") { direct_before_frames(place); }
  SECTION("a quiesced put is not read any more") { direct_quiesce(place); }
  SECTION("withdraw fences") { withdraw_fences(place); }
  SECTION("close fences shared memory") { close_fences_shared_memory(place); }
  SECTION("withdraw excludes puts of another thread") { withdraw_against_running_puts(place); }
}

}  // namespace kfx::test
