// SPDX-License-Identifier: BSD-2-Clause
#include "suite.hpp"

const kfx::test::fixture& kfx::test::under_test() {
  static const fixture f{
      .name = "shm",
      .listen = "shm://*",
      .processes = true,
      .one_sided = true,
  };
  return f;
}
