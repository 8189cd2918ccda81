// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx doctor: what of this host keeps kfx from being as good as it can, and what mends it.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "command.hpp"
#include "doctor_checks.hpp"
#include "json.hpp"

namespace tool {
namespace {

const char* name_of(state s) { return s == state::ok ? "ok" : s == state::warning ? "warning" : "absent"; }

void print_json(const std::vector<finding>& list, bool healthy) {
  json::array checks;
  for (const finding& f : list) {
    json::object one{{"name", f.name}, {"state", name_of(f.state)}, {"found", f.found}};
    if (f.state == state::warning) {
      one["wrong"] = f.wrong;
      one["remedy"] = f.remedy;
    }
    checks.push_back(std::move(one));
  }
  print(json::object{{"healthy", healthy}, {"checks", std::move(checks)}});
}

void print_text(const std::vector<finding>& list) {
  for (const finding& f : list) {
    fmt::print("{:<8} {}: {}\n", name_of(f.state), f.name, f.found);
    if (f.state == state::warning) fmt::print("         {}\n         mend it: {}\n", f.wrong, f.remedy);
  }
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App& c =
      *app.add_subcommand("doctor", "what of this host holds kfx back, and what mends it; status 3: something");
  c.add_flag("--json", *as_json, "one JSON object");
  c.callback([as_json, &status] {
    const std::vector<finding> list = check_host();
    const bool healthy =
        std::none_of(list.begin(), list.end(), [](const finding& f) { return f.state == state::warning; });
    *as_json ? print_json(list, healthy) : print_text(list);
    status = healthy ? 0 : 3;
  });
}

}  // namespace tool
