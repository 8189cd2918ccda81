// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx: looks at a host, reaches nodes and measures them.

#include <csignal>
#include <cstdio>
#include <exception>
#include <kfx/kfx.hpp>

#include "command.hpp"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("kfx: looks at this host, reaches nodes and measures them");
  app.require_subcommand(1);
  app.set_version_flag("--version", kfx::version());
  app.set_help_all_flag("--help-all", "the options of every command");
  int status = 0;
  tool::add_info(app, status);
  tool::add_doctor(app, status);
  tool::add_ping(app, status);
  tool::add_perf(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) ? 2 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kfx: %s\n", e.what());
    return 1;
  }
  return status;
}
