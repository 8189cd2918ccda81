// SPDX-License-Identifier: BSD-2-Clause
#include "support/faults.hpp"

#include <string>

#include "kfx/backend/backend.hpp"
#include "support/faulty_backend.hpp"
#include "support/sim_backend.hpp"

namespace kfx::test {
namespace {
std::atomic<bool> on{true};
}  // namespace

faults::counters& faults::counts() {
  static counters& c = *new counters;
  return c;
}

void faults::reset_counts() {
  counters& c = counts();
  for (std::atomic<std::uint64_t>* n :
       {&c.cuts, &c.swallowed, &c.delays, &c.refusals, &c.duplicates, &c.dropped_puts, &c.stale_puts})
    *n = 0;
}

void faults::enable(bool yes) { on = yes; }
bool faults::enabled() { return on; }

void register_test_backends() {
  backend::register_backend(std::make_unique<sim_backend>());
  for (backend::backend* inner : backend::all_backends()) {
    const std::string name(inner->name());
    if (!name.starts_with("faulty+")) backend::register_backend(std::make_unique<faulty_backend>(name));
  }
}

}  // namespace kfx::test
