// SPDX-License-Identifier: BSD-2-Clause
// The console's session, its nodes and groups.
#include "console.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

namespace lnet::selftest {

namespace {

constexpr std::chrono::milliseconds patience{5000};

std::uint64_t random_number() {
  std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) | 1;
}

std::string reason(int status) {
  switch (-status) {
    case EBUSY:
      return "it is in another session";
    case ESRCH:
      return "it is in no session";
    case EPERM:
      return "it is in another session now";
    case ETIMEDOUT:
      return "no answer";
    default:
      return std::strerror(-status);
  }
}

}  // namespace

console::console(node& n, output o) : node_(n), out_(std::move(o)), asker_(n), keeper_([this] { keep_alive(); }) {}

console::~console() {
  std::string why;
  if (session_) run_one(cmd::end_session{}, why);
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  wake_.notify_all();
  keeper_.join();
}

bool console::run(const command& c, std::string& why) {
  return std::visit([&](const auto& one) { return run_one(one, why); }, c);
}

void console::interrupt() noexcept {
  {
    const std::lock_guard lock(mutex_);
    interrupts_.fetch_add(1);
  }
  wake_.notify_all();
}

bool console::pause(double seconds) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return interrupts_.load() != 0; });
}

bool console::in_session(std::string& why) const {
  if (!session_) why = "there is no session; new_session begins one";
  return static_cast<bool>(session_);
}

bool console::all_good(const outcomes& all, const char* what, std::string& why) {
  std::string bad;
  for (const asker::outcome& o : all) {
    if (o.status != 0) bad += fmt::format("{}{}: {}", bad.empty() ? "" : "; ", to_string(o.whom), reason(o.status));
  }
  if (!bad.empty()) why = fmt::format("{} failed: {}", what, bad);
  return bad.empty();
}

// --- session

bool console::run_one(const cmd::new_session& c, std::string& why) {
  if (session_) {
    why = fmt::format("session {} goes on; end_session ends it", session_is_.name);
    return false;
  }
  const std::lock_guard lock(mutex_);
  session_ = {node_.lnet().id().nid, random_number(), random_number()};
  session_is_ = c;
  batches_ = {{"batch", {next_id_++, {}}}};
  wake_.notify_all();
  return true;
}

bool console::run_one(const cmd::end_session&, std::string& why) {
  if (!in_session(why)) return false;
  session_id was;
  std::vector<nid> nodes;
  {
    const std::lock_guard lock(mutex_);
    was = std::exchange(session_, {});
    nodes.assign(nodes_.begin(), nodes_.end());
    nodes_.clear();
  }
  const auto answers = asker_.ask_all(nodes, kind::leave, was, empty_body{}, patience);
  groups_.clear();
  batches_.clear();
  // Who does not answer ends it by himself, and who is in none has done so.
  outcomes odd;
  std::copy_if(answers.begin(), answers.end(), std::back_inserter(odd),
               [](const auto& o) { return o.status != -ESRCH; });
  std::string note;
  if (!all_good(odd, "end_session", note)) out_.notes(note + "\n");
  return true;
}

bool console::run_one(const cmd::show_session&, std::string& why) {
  if (!in_session(why)) return false;
  if (out_.json) {
    out_.text(fmt::format("{{\"session\":{},\"console\":{},\"timeout\":{},\"nodes\":{}}}\n",
                          json_text(session_is_.name), json_text(to_string(session_.console)), session_is_.timeout_s,
                          nodes_.size()));
  } else {
    out_.text(fmt::format("session {} of {}, stamp {:#x}, timeout {} s, {} nodes\n", session_is_.name,
                          to_string(session_.console), session_.stamp, session_is_.timeout_s, nodes_.size()));
  }
  return true;
}

void console::keep_alive() {
  std::unique_lock lock(mutex_);
  while (!end_) {
    // Who does not answer takes as much again, and one lost message is no reason to end.
    const auto interval =
        std::min(std::chrono::milliseconds(3000), std::chrono::milliseconds(200) * session_is_.timeout_s);
    const session_id was = session_;
    wake_.wait_for(lock, interval, [&] { return end_ || session_ != was; });
    if (end_ || !session_ || nodes_.empty()) continue;
    const std::vector<nid> nodes(nodes_.begin(), nodes_.end());
    lock.unlock();
    look_after(nodes, interval);
    lock.lock();
  }
}

void console::look_after(const std::vector<nid>& nodes, std::chrono::milliseconds limit) {
  session_id mine;
  join_request again;
  {
    const std::lock_guard lock(mutex_);
    mine = session_;
    again = {session_is_.timeout_s, false, session_is_.name};
  }
  if (!mine) return;
  std::vector<nid> strangers;
  for (const auto& o : asker_.ask_all(nodes, kind::status, mine, empty_body{}, limit)) {
    const auto info = o.as<session_info>();
    if (info && info->stamp == mine.stamp) lost_.erase(o.whom);
    if (info && info->stamp == 0) strangers.push_back(o.whom);
  }
  {
    // Those that left meanwhile are not called back.
    const std::lock_guard lock(mutex_);
    if (session_ != mine) return;
    std::erase_if(strangers, [this](nid n) { return nodes_.count(n) == 0; });
  }
  for (const nid& n : strangers) {
    if (!lost_.insert(n).second) continue;
    out_.notes(fmt::format("{} was started anew, or long cut off; the session takes it back, without its tests\n",
                           to_string(n)));
  }
  asker_.ask_all(strangers, kind::join, mine, again, limit);
}

// --- groups

std::vector<nid> console::nodes_of(const std::string& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? std::vector<nid>() : found->second;
}

bool console::find_groups(const std::vector<std::string>& names, std::string& why) const {
  for (const std::string& n : names) {
    if (groups_.count(n) == 0) {
      why = fmt::format("there is no group {}", n);
      return false;
    }
  }
  return true;
}

bool console::run_one(const cmd::add_group& c, std::string& why) {
  if (!in_session(why)) return false;
  const join_request body{session_is_.timeout_s, session_is_.force, session_is_.name};
  std::vector<nid> fresh;
  for (const nid& n : c.nids) {
    if (nodes_.count(n) == 0 && std::find(fresh.begin(), fresh.end(), n) == fresh.end()) fresh.push_back(n);
  }
  const auto answers = asker_.ask_all(fresh, kind::join, session_, body, patience);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& o : answers) {
      if (o.status == 0) nodes_.insert(o.whom);
    }
  }
  std::string bad;
  for (const auto& o : answers) {
    const auto holder = o.status == -EBUSY ? o.as<session_info>() : std::nullopt;
    const std::string because =
        holder ? fmt::format("it is in session {} of {}", holder->name, to_string(holder->console)) : reason(o.status);
    if (o.status != 0) bad += fmt::format("{}{}: {}", bad.empty() ? "" : "; ", to_string(o.whom), because);
  }
  // Those that are here are a group.
  for (const nid& n : c.nids) {
    std::vector<nid>& group = groups_[c.name];
    if (nodes_.count(n) && std::find(group.begin(), group.end(), n) == group.end()) group.push_back(n);
  }
  if (groups_[c.name].empty()) groups_.erase(c.name);
  if (!bad.empty()) why = "add_group: " + bad;
  return bad.empty();
}

bool console::run_one(const cmd::del_group& c, std::string& why) {
  if (!in_session(why) || !find_groups({c.name}, why)) return false;
  groups_.erase(c.name);
  return true;  // its nodes stay in the session, for tests may need them
}

bool console::run_one(const cmd::list_group& c, std::string& why) {
  if (!in_session(why) || (!c.name.empty() && !find_groups({c.name}, why))) return false;
  std::string text;
  if (c.name.empty()) {
    for (const auto& [name, nodes] : groups_) text += fmt::format("{}: {} nodes\n", name, nodes.size());
  } else {
    for (const nid& n : nodes_of(c.name)) text += to_string(n) + "\n";
  }
  out_.text(text);
  return true;
}

bool console::run_one(const cmd::ping& c, std::string& why) {
  if (!in_session(why) || (!c.group.empty() && !find_groups({c.group}, why))) return false;
  const std::vector<nid> whom = c.group.empty() ? std::vector<nid>(nodes_.begin(), nodes_.end()) : nodes_of(c.group);
  auto answers = asker_.ask_all(whom, kind::status, session_, empty_body{}, patience);
  for (auto& o : answers) {
    const auto info = o.as<session_info>();
    if (!info) {
      out_.text(fmt::format("{}: {}\n", to_string(o.whom), o.status ? reason(o.status) : "a strange answer"));
      if (o.status == 0) o.status = -EPROTO;
    } else if (info->stamp != session_.stamp) {
      o.status = info->stamp == 0 ? -ESRCH : -EBUSY;
      out_.text(fmt::format("{}: {}\n", to_string(o.whom), reason(o.status)));
    } else {
      out_.text(fmt::format("{}: session {}, {} tests run, up for {:.1f} s\n", to_string(o.whom), info->name,
                            info->running, static_cast<double>(info->uptime_ms) / 1000));
    }
  }
  return all_good(answers, "ping", why);
}

bool console::run_one(const cmd::sleep& c, std::string& why) {
  if (pause(c.seconds)) return true;
  why = "sleep was interrupted";
  return false;
}

}  // namespace lnet::selftest
