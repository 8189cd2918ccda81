// SPDX-License-Identifier: BSD-2-Clause
#include "suite.hpp"

const kfx::test::fixture& kfx::test::under_test() {
  static const fixture f{
      .name = "shm_cross",
      .listen = "shm://*",
      .query = "bulk=cross",
      .processes = true,
      .one_sided = true,
  };
  return f;
}
