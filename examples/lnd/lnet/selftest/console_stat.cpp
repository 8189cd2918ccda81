// SPDX-License-Identifier: BSD-2-Clause
// What the console shows of its nodes' counters.
#include <fmt/format.h>

#include <algorithm>

#include "console.hpp"

namespace lnet::selftest {

namespace {

constexpr std::chrono::milliseconds patience{5000};

}  // namespace

std::map<nid, node_statistics> console::statistics(const std::vector<std::string>& groups) {
  std::set<nid> whom;
  for (const std::string& g : groups) {
    for (const nid& n : nodes_of(g)) whom.insert(n);
  }
  std::map<nid, node_statistics> all;
  for (const auto& o : asker_.ask_all({whom.begin(), whom.end()}, kind::statistics, session_, empty_body{}, patience)) {
    if (const auto s = o.as<node_statistics>()) all.emplace(o.whom, *s);
  }
  return all;
}

bool console::anything_runs() {
  for (const auto& [name, b] : batches_) {
    std::vector<test_figures> all;
    std::string why;
    look(name, b, all, why);
    if (std::any_of(all.begin(), all.end(), [](const auto& f) { return f.sum.active != 0; })) return true;
  }
  return false;
}

void console::show_sample(const cmd::stat& c, const std::map<nid, node_statistics>& before,
                          const std::map<nid, node_statistics>& after, std::size_t& lines) {
  std::string text;
  const bool both = c.bandwidth == c.rate;
  for (const std::string& name : c.groups) {
    std::vector<node_interval> intervals;
    std::size_t silent = 0;
    for (const nid& n : nodes_of(name)) {
      const auto was = before.find(n), is = after.find(n);
      const bool known = was != before.end() && is != after.end() && is->second.now_us > was->second.now_us;
      if (known) intervals.push_back({n, was->second, is->second});
      if (!known) ++silent;
    }
    const group_figures f = figures_of(name, intervals, silent);
    text += out_.json ? json(f) + "\n" : table(f, {both || c.bandwidth, both || c.rate, c.megabytes});
  }
  // Over the table before: up by its lines, and each is cleared as it is written.
  if (out_.terminal && !out_.json) {
    std::string over = lines ? fmt::format("\x1b[{}A", lines) : "";
    lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    for (const char ch : text) over += ch == '\n' ? std::string("\x1b[K\n") : std::string(1, ch);
    text = over + "\x1b[J";
  }
  out_.text(text);
}

bool console::run_one(const cmd::stat& c, std::string& why) {
  if (!in_session(why) || !find_groups(c.groups, why)) return false;
  std::map<nid, node_statistics> before = statistics(c.groups);
  std::size_t lines = 0;
  for (std::uint64_t n = 0; c.count == 0 || n < c.count; ++n) {
    if (!pause(c.delay_s)) {
      interrupts_.store(0);  // it was meant for this
      return true;
    }
    const auto after = statistics(c.groups);
    show_sample(c, before, after, lines);
    if (after.empty()) {
      why = "stat: no node answers";
      return false;
    }
    // Of nodes that are silent now the last word counts.
    for (const auto& [whom, s] : after) before[whom] = s;
    if (c.count == 0 && !anything_runs()) break;
  }
  return true;
}

bool console::run_one(const cmd::show_error& c, std::string& why) {
  if (!in_session(why) || !find_groups(c.groups, why)) return false;
  const auto all = statistics(c.groups);
  for (const std::string& name : c.groups) {
    for (const nid& n : nodes_of(name)) {
      const auto found = all.find(n);
      if (found == all.end()) {
        out_.text(out_.json ? fmt::format("{{\"errors_of\":{},\"silent\":true}}\n", json_text(to_string(n)))
                            : fmt::format("{}: no answer\n", to_string(n)));
        continue;
      }
      const node_statistics& s = found->second;
      if (out_.json) {
        out_.text(
            fmt::format(R"({{"errors_of":{},"errors":{},"expired":{},"ping_errors":{},"brw_errors":{},"dropped":{}}})"
                        "\n",
                        json_text(to_string(n)), s.errors, s.expired, s.ping_errors, s.brw_errors, s.dropped));
      } else {
        out_.text(fmt::format("{}: {} RPCs failed ({} expired), {} ping errors, {} brw errors, {} requests dropped\n",
                              to_string(n), s.errors, s.expired, s.ping_errors, s.brw_errors, s.dropped));
      }
    }
  }
  return true;
}

}  // namespace lnet::selftest
