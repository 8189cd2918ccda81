// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "links/link_suite.hpp"

TEST_CASE("a tcp link", "[links][tcp]") { kfx::test::link_suite({"tcp://127.0.0.1:0", ""}, {.direct = false}); }
