// SPDX-License-Identifier: BSD-2-Clause
#include "commands.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>
#include <optional>
#include <system_error>

namespace lnet {
namespace {

/// Ends a command; the answer becomes lnetctl's form of an error.
struct refusal {
  int status;
  std::string why;
};

[[noreturn]] void refuse(int status, std::string why) { throw refusal{status, std::move(why)}; }

/// A status of LNet's own, which says what failed.
void check(int status, const std::string& what) {
  if (status < 0) refuse(status, what + ": " + std::generic_category().message(-status));
}

class command {
 public:
  command(management& m, const request& r, yaml& out) : lnet_(m), request_(r), out_(out) {}

  // Each has its own options, and says so where others are given.
  void net_show() {
    allow({"--net", "--verbose"});
    std::vector<ni_info> nis = lnet_.nis();
    if (given("--net")) {
      const net wanted = the_net();
      std::erase_if(nis, [&](const ni_info& i) { return i.nid.net != wanted; });
      if (nis.empty()) refuse(-ENOENT, "there is no NI on " + to_string(wanted));
    }
    show_nets(out_.add("net"), nis, given("--verbose"));
  }

  void net_add() {
    allow({"--net", "--if", "--cpt"});
    the_net();
    std::string text = value("--net"), why;
    if (given("--if")) text += "(" + value("--if") + ")";
    if (given("--cpt")) text += "[" + value("--cpt") + "]";
    std::vector<net_spec> specs;
    if (!parse_networks(text, specs, why)) refuse(-EINVAL, "\"" + text + "\", " + why);
    if (specs.size() != 1) refuse(-EINVAL, "\"" + text + "\" is more than one network");
    const int status = lnet_.net_add(specs.front(), why);
    if (status < 0 && !why.empty()) refuse(status, "cannot add " + to_string(specs.front()) + ": " + why);
    check(status, "cannot add " + to_string(specs.front()));
  }

  void net_del() {
    allow({"--net"});
    const net n = the_net();
    if (n.kind == kind_lo) refuse(-EINVAL, "lo is always there");
    check(lnet_.net_delete(n), "cannot delete " + to_string(n));
  }

  void peer_show() {
    allow({"--nid", "--verbose"});
    std::vector<peer_info> peers = lnet_.peers();
    if (given("--nid")) {
      const nid wanted = the_nid("--nid");
      std::erase_if(peers, [&](const peer_info& p) {
        return p.primary != wanted &&
               std::none_of(p.nis.begin(), p.nis.end(), [&](const auto& i) { return i.nid == wanted; });
      });
      if (peers.empty()) refuse(-ENOENT, "there is no peer with the NID " + to_string(wanted));
    }
    show_peers(out_.add("peer"), peers, given("--verbose"));
  }

  void peer_add() {
    allow({"--prim_nid", "--nid"});
    const nid primary = the_nid("--prim_nid");
    std::vector<nid> others = given("--nid") ? nids(value("--nid")) : std::vector<nid>();
    std::erase(others, primary);
    check(lnet_.peer_add(primary, others), "cannot add the peer " + to_string(primary));
  }

  void peer_del() {
    allow({"--prim_nid"});
    const nid primary = the_nid("--prim_nid");
    check(lnet_.peer_delete(primary), "cannot delete the peer " + to_string(primary));
  }

  void stats_show() {
    allow({});
    show_stats(out_.add("statistics"), lnet_.stats());
  }

  void stats_reset() {
    allow({});
    lnet_.reset_stats();
  }

  void ping() {
    allow({"--timeout"});
    const auto limit = std::chrono::milliseconds(given("--timeout") ? number("--timeout", 1, 10000) : 1000);
    std::vector<nid> targets;
    for (auto word = request_.words.begin() + 1; word != request_.words.end(); ++word)
      for (const nid n : nids(*word)) targets.push_back(n);
    if (targets.empty()) refuse(-EINVAL, "whom to ping? a NID is missing");
    if (targets.size() > 16) refuse(-EINVAL, "that is more than 16 NIDs at a time");
    yaml& list = out_.add("ping");
    // Who does not answer is told of among the others.
    for (const nid n : targets) {
      std::vector<nid> found;
      const int status = lnet_.ping(n, limit, found);
      yaml& item = list.item();
      if (status < 0) {
        if (failed_ == 0) failed_ = status;
        item.add("errno", status);
        item.add("descr", "failed to ping " + to_string(n) + ": " + std::generic_category().message(-status));
        continue;
      }
      item.add("primary nid", to_string(found.empty() ? n : found.front()));
      item.add("Multi-Rail", found.size() > 1 ? "True" : "False");
      yaml& members = item.add("peer ni");
      for (const nid each : found) members.item().add("nid", to_string(each));
    }
  }

  void set_health() {
    allow({"--nid", "--health"});
    const nid n = the_nid("--nid");
    check(lnet_.set_health(n, number("--health", 0, 1000)), "cannot set the health of " + to_string(n));
  }

  void conn_show() {
    allow({"--net"});
    control c;
    check(lnet_.control(the_net(), c), "cannot list the connections on " + value("--net"));
    yaml& list = out_.add("connections");
    for (const std::string& line : c.answer) list.item().add("connection", line);
  }

  void conn_close() {
    allow({"--net", "--nid"});
    control c;
    c.what = control::close_connection;
    c.nid = the_nid("--nid");
    check(lnet_.control(the_net(), c), "cannot close the connection to " + to_string(c.nid));
  }

  void write_setup() {
    allow({});
    show_setup(out_, lnet_.nis(), lnet_.peers());
  }

  /// Of what failed in part.
  int failed() const noexcept { return failed_; }

 private:
  bool given(std::string_view option) const { return request_.options.contains(option); }
  const std::string& value(std::string_view option) const {
    const auto found = request_.options.find(option);
    if (found == request_.options.end()) refuse(-EINVAL, std::string(option) + " is missing");
    return found->second;
  }
  void allow(std::initializer_list<std::string_view> options) const {
    for (const auto& [name, text] : request_.options)
      if (std::find(options.begin(), options.end(), name) == options.end())
        refuse(-EINVAL, name + " means nothing here");
  }
  net the_net() const {
    const auto n = parse_net(value("--net"));
    if (!n) refuse(-EINVAL, "\"" + value("--net") + "\" is no network like tcp, o2ib1 or kfx2");
    return *n;
  }
  static nid read_nid(std::string_view text) {
    const auto n = parse_nid(text);
    if (!n || n->is_any()) refuse(-EINVAL, "\"" + std::string(text) + "\" is no NID like 10.0.0.1@kfx");
    return *n;
  }
  nid the_nid(std::string_view option) const { return read_nid(value(option)); }
  /// Some with commas between, each once.
  static std::vector<nid> nids(std::string_view text) {
    std::vector<nid> list;
    for (;;) {
      const std::size_t comma = text.find(',');
      const nid n = read_nid(text.substr(0, comma));
      if (std::find(list.begin(), list.end(), n) == list.end()) list.push_back(n);
      if (comma == text.npos) return list;
      text.remove_prefix(comma + 1);
    }
  }
  int number(std::string_view option, int least, int most) const {
    const std::string& text = value(option);
    int n = 0;
    const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || behind != text.data() + text.size() || n < least || n > most)
      refuse(-EINVAL, std::string(option) + " is \"" + text + "\", and must be a number from " + std::to_string(least) +
                          " to " + std::to_string(most));
    return n;
  }

  management& lnet_;
  const request& request_;
  yaml& out_;
  int failed_ = 0;
};

struct verb {
  const char *noun, *action;
  void (command::*run)();
};

constexpr verb verbs[] = {
    {"net", "show", &command::net_show},     {"net", "add", &command::net_add},
    {"net", "del", &command::net_del},       {"peer", "show", &command::peer_show},
    {"peer", "add", &command::peer_add},     {"peer", "del", &command::peer_del},
    {"stats", "show", &command::stats_show}, {"stats", "reset", &command::stats_reset},
    {"set", "health", &command::set_health}, {"conn", "show", &command::conn_show},
    {"conn", "close", &command::conn_close}, {"export", nullptr, &command::write_setup},
    {"ping", nullptr, &command::ping},
};

const verb* find_verb(const request& r) {
  for (const verb& v : verbs) {
    if (r.words[0] != v.noun) continue;
    const bool more = v.run == &command::ping;
    const std::size_t count = v.action == nullptr ? 1 : 2;
    if (r.words.size() >= count && (more || r.words.size() == count) && (count == 1 || r.words[1] == v.action))
      return &v;
  }
  return nullptr;
}

/// As lnetctl tells of errors: what was to be done, with what, and why not.
answer told(const request& r, const refusal& why) {
  yaml document;
  const bool two = r.words.size() > 1 && r.words[0] != "ping";
  // YAML's keys are short.
  const auto key = [&](std::size_t i) {
    return r.words.size() > i && r.words[i].size() < 64 ? yaml::quoted(r.words[i]) : std::string("request");
  };
  yaml& error = document.add(two ? key(1) : key(0)).item().add(key(0));
  error.add("errno", why.status);
  error.add("descr", why.why);
  return {why.status, document.text()};
}

}  // namespace

answer execute(management& m, std::string_view line) {
  request r;
  try {
    std::string why;
    if (!request::parse(line, r, why)) refuse(-EINVAL, why);
    const verb* const v = find_verb(r);
    if (v == nullptr) refuse(-EOPNOTSUPP, "there is no such command");
    yaml document;
    command c(m, r, document);
    (c.*v->run)();
    return {c.failed(), document.text()};
  } catch (const refusal& why) {
    return told(r, why);
  } catch (const std::system_error& e) {
    return told(r, {e.code().value() > 0 ? -e.code().value() : -EIO, e.what()});
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    return told(r, {-EIO, e.what()});
  }
}

}  // namespace lnet
