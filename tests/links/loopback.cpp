// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "links/link_suite.hpp"

TEST_CASE("a loopback link", "[links][loop]") { kfx::test::link_suite({"loop://suite", ""}, {.direct = true}); }

TEST_CASE("a loopback link without one-sided access", "[links][loop]") {
  kfx::test::link_suite({"loop://suite", "direct=off"}, {.direct = false});
}
