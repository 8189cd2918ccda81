// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "links/link_suite.hpp"
#include "support/faults.hpp"

namespace {
std::string harmless_faults() {
  kfx::test::register_test_backends();
  static const std::string seed = std::to_string(kfx::test::seed_for("faulty") % 1000000);
  return "delay=1&partial=1&seed=" + seed;
}
}  // namespace

TEST_CASE("a loopback link with delays and refusals", "[links][faulty]") {
  const std::string faults = harmless_faults();
  kfx::test::link_suite({"faulty+loop://suite?" + faults, faults}, {.direct = true});
}

TEST_CASE("a simulated RDMA link with delays and refusals", "[links][faulty]") {
  const std::string faults = harmless_faults();
  kfx::test::link_suite({"faulty+sim://suite?" + faults, faults}, {.direct = true});
}

TEST_CASE("a tcp link with delays and refusals", "[links][faulty]") {
  const std::string faults = harmless_faults();
  kfx::test::link_suite({"faulty+tcp://127.0.0.1:0?" + faults, faults}, {.direct = false});
}

TEST_CASE("a shm link with delays and refusals", "[links][faulty]") {
  const std::string faults = harmless_faults();
  kfx::test::link_suite({"faulty+shm://*?" + faults, faults, true}, {.direct = true});
}
