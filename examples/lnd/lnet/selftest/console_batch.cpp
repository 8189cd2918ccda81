// SPDX-License-Identifier: BSD-2-Clause
// Batches: what the console has nodes do.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "console.hpp"

namespace lnet::selftest {

namespace {

constexpr std::chrono::milliseconds patience{10000};
constexpr double look_interval = 0.1;

}  // namespace

std::vector<nid> servers_of(std::size_t client, unsigned clients, unsigned servers, const std::vector<nid>& all) {
  std::vector<nid> mine;
  const std::size_t first = client / clients * servers;
  for (std::size_t i = 0; i < std::min<std::size_t>(servers, all.size()); ++i)
    mine.push_back(all[(first + i) % all.size()]);
  return mine;
}

std::string describe(const cmd::add_test& t) {
  std::string text = to_string(t.operation);
  if (t.operation != operation_kind::ping) {
    text += fmt::format(" size={} check={}", t.size, to_string(t.check));
    if (t.offset) text += fmt::format(" off={}", t.offset);
  }
  return text + fmt::format(" concurrency={}", t.concurrency);
}

console::batch* console::find_batch(const std::string& name, std::string& why) {
  if (!in_session(why)) return nullptr;
  const auto found = batches_.find(name);
  if (found == batches_.end()) why = fmt::format("there is no batch {}", name);
  return found == batches_.end() ? nullptr : &found->second;
}

std::vector<nid> console::clients_of(const batch& b) const {
  std::set<nid> all;
  for (const test& t : b.tests) all.insert(t.clients.begin(), t.clients.end());
  return {all.begin(), all.end()};
}

bool console::run_one(const cmd::add_batch& c, std::string& why) {
  if (!in_session(why)) return false;
  if (!batches_.emplace(c.name, batch{next_id_, {}}).second) {
    why = fmt::format("there is a batch {} already", c.name);
    return false;
  }
  ++next_id_;
  return true;
}

bool console::run_one(const cmd::add_test& c, std::string& why) {
  batch* const b = find_batch(c.batch, why);
  if (!b || !find_groups({c.from, c.to}, why)) return false;
  if (b->tests.size() == max_results) {
    why = fmt::format("a batch has at most {} tests", max_results);
    return false;
  }
  test t;
  t.id = next_id_++;
  t.what = c;
  t.clients = nodes_of(c.from);
  std::vector<asker::to> questions;
  for (std::size_t i = 0; i < t.clients.size(); ++i) {
    test_request r;
    r.batch = b->id;
    r.test = t.id;
    r.operation = c.operation;
    r.check = c.check;
    r.size = c.operation == operation_kind::ping ? 0 : c.size;
    r.offset = c.operation == operation_kind::ping ? 0 : c.offset;
    r.concurrency = c.concurrency;
    r.rpc_timeout_ms = c.rpc_timeout_s * 1000;
    r.loop = c.loop;
    r.servers = servers_of(i, c.clients, c.servers, nodes_of(c.to));
    if (r.servers.size() > max_servers) {
      why = fmt::format("add_test: {} servers for one client; {} are the most", r.servers.size(), max_servers);
      return false;
    }
    t.pairs += r.servers.size();
    questions.push_back({t.clients[i], asker::request(kind::add_test, session_, r)});
  }
  // Memory is had now, which takes a while.
  if (!all_good(asker_.ask(questions, 3 * patience), "add_test", why)) return false;
  b->tests.push_back(std::move(t));
  return true;
}

bool console::batch_request(const std::string& name, kind k, const char* what, std::string& why) {
  batch* const b = find_batch(name, why);
  if (!b) return false;
  if (b->tests.empty()) {
    why = fmt::format("{}: batch {} has no tests", what, name);
    return false;
  }
  const auto answers = asker_.ask_all(clients_of(*b), k, session_, selftest::batch_request{b->id}, patience);
  return all_good(answers, what, why);
}

bool console::run_one(const cmd::run& c, std::string& why) {
  return batch_request(c.batch, kind::run_batch, "run", why);
}

bool console::run_one(const cmd::stop& c, std::string& why) {
  if (!batch_request(c.batch, kind::stop_batch, "stop", why)) return false;
  // RPCs that are under way end, by their timeout if need be.
  double limit = 10;
  for (const test& t : batches_[c.batch].tests) limit = std::max(limit, t.what.rpc_timeout_s + 10.0);
  return run_one(cmd::wait{c.batch, static_cast<std::uint32_t>(limit)}, why);
}

bool console::run_one(const cmd::wait& c, std::string& why) {
  const batch* const b = find_batch(c.batch, why);
  if (!b) return false;
  const auto end = clock::now() + std::chrono::seconds(c.timeout_s);
  double interval = 0.005;
  for (;;) {
    std::vector<test_figures> all;
    if (!look(c.batch, *b, all, why)) return false;
    if (std::all_of(all.begin(), all.end(), [](const auto& f) { return f.sum.active == 0; })) return true;
    if (clock::now() >= end) {
      why = fmt::format("batch {} still runs after {} s", c.batch, c.timeout_s);
      return false;
    }
    if (!pause(interval)) {
      why = "wait was interrupted";
      return false;
    }
    interval = std::min(2 * interval, look_interval);
  }
}

bool console::look(const std::string& name, const batch& b, std::vector<test_figures>& out, std::string& why) {
  const auto answers =
      asker_.ask_all(clients_of(b), kind::query_batch, session_, selftest::batch_request{b.id}, patience);
  std::map<std::uint32_t, test_figures> by_id;
  for (const test& t : b.tests) by_id[t.id] = {name, t.id, describe(t.what), t.clients.size(), {.test = t.id}};
  for (const auto& o : answers) {
    const auto results = o.as<batch_results>();
    for (const test_result& r : results ? results->tests : std::vector<test_result>()) {
      const auto found = by_id.find(r.test);
      if (found == by_id.end()) continue;
      test_result& sum = found->second.sum;
      sum.active += r.active;
      sum.completed += r.completed;
      sum.failed += r.failed;
      sum.expired += r.expired;
      sum.corrupt += r.corrupt;
      sum.bytes += r.bytes;
      sum.elapsed_us = std::max(sum.elapsed_us, r.elapsed_us);
    }
  }
  for (auto& [id, f] : by_id) out.push_back(std::move(f));
  return all_good(answers, "query", why);
}

void console::show(const test_figures& f) { out_.text(out_.json ? "{\"query\":" + json(f) + "}\n" : line(f)); }

bool console::run_one(const cmd::query& c, std::string& why) {
  const batch* const b = find_batch(c.batch, why);
  if (!b) return false;
  std::vector<test_figures> all;
  const bool good = look(c.batch, *b, all, why);
  for (const test_figures& f : all) show(f);
  return good;
}

bool console::run_one(const cmd::list_batch& c, std::string& why) {
  if (!in_session(why) || (!c.name.empty() && !find_batch(c.name, why))) return false;
  std::string text;
  for (const auto& [name, b] : batches_) {
    if (!c.name.empty() && name != c.name) continue;
    text += fmt::format("{}: {} tests\n", name, b.tests.size());
    if (c.name.empty() && !c.tests) continue;
    for (const test& t : b.tests) {
      text += fmt::format("  test {}: {}, loop {}, distribute {}:{}, from {} to {}, {} clients, {} pairs\n", t.id,
                          describe(t.what), t.what.loop, t.what.clients, t.what.servers, t.what.from, t.what.to,
                          t.clients.size(), t.pairs);
    }
  }
  out_.text(text);
  return true;
}

void console::summary() {
  std::string tests;
  for (const auto& [name, b] : batches_) {
    if (b.tests.empty()) continue;
    std::vector<test_figures> all;
    std::string why;
    if (!look(name, b, all, why)) out_.notes(why + "\n");
    for (const test_figures& f : all) tests += out_.json ? (tests.empty() ? "" : ",") + json(f) : line(f);
  }
  if (out_.json) {
    out_.text(fmt::format("{{\"summary\":{},\"tests\":[{}]}}\n", json_text(session_is_.name), tests));
  } else {
    out_.text(tests);
  }
}

}  // namespace lnet::selftest
