// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "links/link_suite.hpp"
#include "support/faults.hpp"

TEST_CASE("a simulated RDMA link", "[links][sim]") {
  kfx::test::register_test_backends();
  static const std::string seed = std::to_string(kfx::test::seed_for("sim") % 1000000);
  kfx::test::link_suite({"sim://suite", "seed=" + seed}, {.direct = true});
}
