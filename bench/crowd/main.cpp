// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx-crowd: what very many peers that do nothing cost a node, and how many can come at once.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <json.hpp>

#include "figure.hpp"

namespace {

using namespace bench::crowd;

struct wishes {
  settings how;
  std::vector<std::string> items;
  bool json = false;
  bool check = false;
  bool wants(const std::string& item) const {
    return items.empty() || std::find(items.begin(), items.end(), item) != items.end();
  }
};

std::string text(const boost::json::value& v) {
  if (v.is_double()) return fmt::format("{:.4g}", v.as_double());
  return v.is_string() ? std::string(v.as_string()) : boost::json::serialize(v);
}

void tell(const figure& f) {
  std::string bound = "-", more;
  if (f.at_most) bound = fmt::format("at most {:g}: {}", *f.at_most, f.met() ? "met" : "MISSED");
  for (const auto& [key, value] : f.more) more += fmt::format(" {}={}", std::string(key), text(value));
  std::puts(
      fmt::format("{:8} {:4} {:52} {:8.4g}  {:18} {}", f.item, f.transport, f.what, f.value, bound, more).c_str());
  std::fflush(stdout);
}

void collect(const wishes& w, std::vector<figure>& all) {
  const auto add = [&](const std::vector<figure>& some) {
    for (const figure& f : some) {
      if (!w.json) tell(f);
      all.push_back(f);
    }
  };
  for (const std::string& t : w.how.transports) {
    if (w.wants("latency"))
      for (const auto mode : {kfx::progress::caller, kfx::progress::threads}) add(latency(w.how, t, mode));
    if (w.wants("memory")) add(memory(w.how, t));
    if (w.wants("storm")) add(storm(w.how, t));
    if (w.wants("idle"))
      for (const auto mode : {kfx::progress::threads, kfx::progress::caller}) add(idle(w.how, t, mode));
  }
}

boost::json::value as_json(const std::vector<figure>& all) {
  boost::json::array list;
  for (const figure& f : all) {
    boost::json::object o{{"item", f.item}, {"transport", f.transport}, {"what", f.what}, {"value", f.value}};
    o["at_most"] = f.at_most ? boost::json::value(*f.at_most) : boost::json::value(nullptr);
    o["met"] = f.met();
    o["more"] = f.more;
    list.push_back(std::move(o));
  }
  return boost::json::object{{"figures", std::move(list)}};
}

}  // namespace

int main(int argc, char** argv) {
  wishes w;
  settings& s = w.how;
  CLI::App app("What very many peers cost a node of kfx that they do nothing with, and how many can come at once.");
  app.add_option("items", w.items, "latency, memory, storm, idle; all by default")
      ->check(CLI::IsMember({"latency", "memory", "storm", "idle"}));
  app.add_option("--transports", s.transports, "shm,tcp")->delimiter(',')->check(CLI::IsMember({"shm", "tcp"}));
  app.add_option("--peers", s.peers, "peers that do nothing")->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--storm-peers", s.storm_peers, "peers that connect at once")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--processes", s.processes, "processes that these are in")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--rounds", s.rounds, "of latency")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--milliseconds", s.milliseconds, "of each latency of a round")
      ->check(CLI::Range(1.0, 60000.0))
      ->capture_default_str();
  app.add_option("--seconds", s.seconds, "that idle nodes are looked at")
      ->check(CLI::Range(0.1, 1000.0))
      ->capture_default_str();
  app.add_option("--cpus", s.cpus, "of the two processes whose latency is measured")->delimiter(',')->expected(2);
  app.add_flag("--json", w.json, "JSON, at the end");
  app.add_flag("--check", w.check, "status 1 when a figure is missed");
  CLI11_PARSE(app, argc, argv);
  std::vector<figure> all;
  try {
    collect(w, all);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kfx-crowd: %s\n", e.what());
    return 2;
  }
  if (w.json) tool::print(as_json(all));
  return w.check && !std::all_of(all.begin(), all.end(), [](const figure& f) { return f.met(); }) ? 1 : 0;
}
