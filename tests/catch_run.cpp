// SPDX-License-Identifier: BSD-2-Clause
#define CATCH_CONFIG_RUNNER
#include "catch_run.hpp"

#include <catch2/catch.hpp>

int kfx::test::run_catch(int argc, char** argv, const std::function<void(std::vector<std::string>&)>& adapt) {
  Catch::Session session;
  if (const int failed = session.applyCommandLine(argc, argv)) return failed;
  auto config = session.configData();
  if (adapt) adapt(config.testsOrTags);
  config.warnings = static_cast<Catch::WarnAbout::What>(config.warnings | Catch::WarnAbout::NoTests);
  session.useConfigData(config);
  return session.run();
}
