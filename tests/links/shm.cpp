// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "links/link_suite.hpp"

using kfx::test::link_suite;

TEST_CASE("a shm link over its rings alone", "[links][shm]") {
  link_suite({"shm://*", "bulk=ring"}, {.direct = false});
}

TEST_CASE("a shm link to memory that both ends map", "[links][shm]") {
  link_suite({"shm://*", "bulk=mapped", true}, {.direct = true});
}

TEST_CASE("a shm link that chooses by itself", "[links][shm]") { link_suite({"shm://*", "", true}, {.direct = true}); }

TEST_CASE("a shm link to memory through the kernel", "[links][shm]") {
  link_suite({"shm://*", "bulk=cross"}, {.direct = true});
}
