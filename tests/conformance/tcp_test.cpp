// SPDX-License-Identifier: BSD-2-Clause
#include "suite.hpp"

const kfx::test::fixture& kfx::test::under_test() {
  static const fixture f{
      .name = "tcp",
      .listen = "tcp://127.0.0.1:0",
      .processes = true,
      .hosts = true,
  };
  return f;
}
