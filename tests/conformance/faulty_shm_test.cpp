// SPDX-License-Identifier: BSD-2-Clause
#include "suite.hpp"

const kfx::test::fixture& kfx::test::under_test() {
  static const fixture f{
      .name = "faulty_shm",
      .listen = "faulty+shm://*",
      .query = "seed=#&cut=3000&delay=1&partial=1",
      .harsh = "seed=#&cut=60&delay=1&partial=1&lost_acks=1&dup=1",
      .processes = true,
      .allocated = true,
      .one_sided = true,
  };
  return f;
}
