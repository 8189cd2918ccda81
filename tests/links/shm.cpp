// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "links/link_suite.hpp"

TEST_CASE("a shm link", "[links][shm]") { kfx::test::link_suite({"shm://links-test", ""}, {.direct = false}); }
