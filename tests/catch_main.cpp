// SPDX-License-Identifier: BSD-2-Clause
#include "catch_run.hpp"

int main(int argc, char** argv) { return kfx::test::run_catch(argc, argv); }
