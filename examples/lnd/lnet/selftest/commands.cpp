// SPDX-License-Identifier: BSD-2-Clause
#include "commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "nid_range.hpp"

namespace lnet::selftest {

namespace {

/// What is wrong with a command, on its way out of parse_command.
struct mistake {
  std::string why;
};

template <class Int>
Int number(std::string_view what, std::string_view text, Int least, Int most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    throw mistake{fmt::format("{} {}: a whole number from {} to {} is wanted", what, text, least, most)};
  }
  return static_cast<Int>(value);
}

/// Seconds, with a fraction maybe.
double seconds(std::string_view what, const std::string& text, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool plain = !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
  if (!plain || *end != '\0' || value > most) {
    throw mistake{fmt::format("{} {}: seconds are wanted, {} at most", what, text, most)};
  }
  return value;
}

/// "4K", "1M", "512".
std::uint32_t size(std::string_view what, std::string_view text, std::uint32_t most) {
  std::string_view digits = text;
  std::uint32_t unit = 1;
  if (!digits.empty() && (digits.back() == 'K' || digits.back() == 'k')) unit = 1u << 10;
  if (!digits.empty() && (digits.back() == 'M' || digits.back() == 'm')) unit = 1u << 20;
  if (unit != 1) digits.remove_suffix(1);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || value > most / unit) {
    throw mistake{fmt::format("{}={}: bytes are wanted (512, 4K, 1M), {} at most", what, text, most)};
  }
  return value * unit;
}

std::string name(const std::string& text) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (text.empty() || text.size() > max_name || !printable || text.front() == '-') {
    throw mistake{
        fmt::format("\"{}\": a name has 1 to {} letters, no blanks, and does not begin with -", text, max_name)};
  }
  return text;
}

/// A command's words, options taken out.
class words {
 public:
  /// `valued` have a value behind them (or behind a =), `flags` none.
  words(std::span<const std::string> all, std::initializer_list<std::string_view> valued,
        std::initializer_list<std::string_view> flags) {
    for (std::size_t i = 1; i < all.size(); ++i) {
      const std::string& w = all[i];
      if (!w.starts_with("--")) {
        plain.push_back(w);
        continue;
      }
      const auto equals = w.find('=');
      const std::string option = w.substr(0, equals);
      if (std::find(flags.begin(), flags.end(), option) != flags.end() && equals == std::string::npos) {
        put(option, "");
      } else if (std::find(valued.begin(), valued.end(), option) == valued.end()) {
        throw mistake{fmt::format("there is no option {}", w)};
      } else if (equals != std::string::npos) {
        put(option, w.substr(equals + 1));
      } else if (i + 1 == all.size()) {
        throw mistake{fmt::format("{} wants a value", option)};
      } else {
        put(option, all[++i]);
      }
    }
  }

  std::vector<std::string> plain;

  bool has(const char* option) const { return options_.count(option) != 0; }
  const std::string* value(const char* option) const {
    const auto found = options_.find(option);
    return found == options_.end() ? nullptr : &found->second;
  }
  template <class Int>
  void read(const char* option, Int& into, Int least, Int most) const {
    if (const std::string* v = value(option)) into = number<Int>(option, *v, least, most);
  }
  void read_name(const char* option, std::string& into) const {
    if (const std::string* v = value(option)) into = name(*v);
  }
  void count(std::size_t least, std::size_t most, const char* wanted) const {
    if (plain.size() < least || plain.size() > most) throw mistake{fmt::format("wanted: {}", wanted)};
  }

 private:
  void put(const std::string& option, std::string v) {
    if (!options_.emplace(option, std::move(v)).second) throw mistake{fmt::format("{} is there twice", option)};
  }
  std::map<std::string, std::string, std::less<>> options_;
};

using word_span = std::span<const std::string>;

command new_session(word_span all) {
  const words w(all, {"--timeout"}, {"--force"});
  w.count(1, 1, "new_session [--timeout S] [--force] NAME");
  cmd::new_session c;
  c.name = name(w.plain[0]);
  w.read<std::uint32_t>("--timeout", c.timeout_s, 1, 86400);
  c.force = w.has("--force");
  return c;
}

template <class Command>
command nothing_more(word_span all) {
  words(all, {}, {}).count(0, 0, "nothing behind it");
  return Command{};
}

command add_group(word_span all) {
  const words w(all, {}, {});
  w.count(2, ~std::size_t{0}, "add_group NAME NID...");
  cmd::add_group c;
  c.name = name(w.plain[0]);
  for (std::size_t i = 1; i < w.plain.size(); ++i) {
    std::string why;
    if (!expand_nids(w.plain[i], c.nids, why)) throw mistake{why};
  }
  return c;
}

command del_group(word_span all) {
  const words w(all, {}, {});
  w.count(1, 1, "del_group NAME");
  return cmd::del_group{name(w.plain[0])};
}

command list_group(word_span all) {
  const words w(all, {}, {});
  w.count(0, 1, "list_group [NAME]");
  return cmd::list_group{w.plain.empty() ? "" : name(w.plain[0])};
}

command ping(word_span all) {
  const words w(all, {"--group"}, {});
  w.count(0, 0, "ping [--group NAME]");
  cmd::ping c;
  w.read_name("--group", c.group);
  return c;
}

command add_batch(word_span all) {
  const words w(all, {}, {});
  w.count(1, 1, "add_batch NAME");
  return cmd::add_batch{name(w.plain[0])};
}

void brw_word(cmd::add_test& c, const std::string& w) {
  const std::string value = w.substr(std::min(w.size(), w.find('=') + 1));
  if (w == "read" || w == "write") {
    c.operation = w == "read" ? operation_kind::read : operation_kind::write;
  } else if (w.starts_with("check=")) {
    if (value != "none" && value != "simple" && value != "full") throw mistake{w + ": none, simple or full"};
    c.check = value == "full" ? check::full : value == "simple" ? check::simple : check::none;
  } else if (w.starts_with("size=")) {
    c.size = size("size", value, mtu);
    if (c.size == 0) throw mistake{"size=0: there is nothing to move"};
  } else if (w.starts_with("off=")) {
    c.offset = size("off", value, max_offset - 1);
    if (c.offset % 8 != 0) throw mistake{w + ": a multiple of 8 is wanted"};
  } else {
    throw mistake{fmt::format("brw knows no {}: read, write, check=, size=, off=", w)};
  }
}

command add_test(word_span all) {
  constexpr auto wanted =
      "add_test [--batch NAME] [--loop N] [--concurrency N] [--distribute A:B] [--rpc-timeout S] --from GROUP --to "
      "GROUP ping | brw read|write [check=none|simple|full] [size=4K] [off=N]";
  const words w(all, {"--batch", "--loop", "--concurrency", "--distribute", "--rpc-timeout", "--from", "--to"}, {});
  cmd::add_test c;
  w.read_name("--batch", c.batch);
  w.read_name("--from", c.from);
  w.read_name("--to", c.to);
  w.read<std::uint64_t>("--loop", c.loop, 1, ~std::uint64_t{0});
  w.read<std::uint32_t>("--concurrency", c.concurrency, 1, max_concurrency);
  w.read<std::uint32_t>("--rpc-timeout", c.rpc_timeout_s, 1, 3600);
  if (const std::string* d = w.value("--distribute")) {
    const auto colon = d->find(':');
    if (colon == std::string::npos) throw mistake{"--distribute " + *d + ": clients:servers is wanted, as 2:1"};
    c.clients = number<unsigned>("--distribute", std::string_view(*d).substr(0, colon), 1, max_nids_of_a_range);
    c.servers = number<unsigned>("--distribute", std::string_view(*d).substr(colon + 1), 1, max_nids_of_a_range);
  }
  if (c.from.empty() || c.to.empty()) throw mistake{"--from GROUP and --to GROUP are wanted"};
  const bool brw = w.plain.size() >= 2 && w.plain[0] == "brw" && (w.plain[1] == "read" || w.plain[1] == "write");
  if (!brw && !(w.plain.size() == 1 && w.plain[0] == "ping")) throw mistake{fmt::format("wanted: {}", wanted)};
  for (std::size_t i = 1; i < w.plain.size(); ++i) brw_word(c, w.plain[i]);
  return c;
}

/// Commands that have a batch's name only, or none for the default one.
template <class Command>
command of_batch(word_span all) {
  const words w(all, {}, {});
  w.count(0, 1, "[BATCH]");
  Command c;
  if (!w.plain.empty()) c.batch = name(w.plain[0]);
  return c;
}

command wait(word_span all) {
  const words w(all, {"--timeout"}, {});
  w.count(0, 1, "wait [--timeout S] [BATCH]");
  cmd::wait c;
  if (!w.plain.empty()) c.batch = name(w.plain[0]);
  w.read<std::uint32_t>("--timeout", c.timeout_s, 1, 1'000'000);
  return c;
}

command list_batch(word_span all) {
  const words w(all, {}, {"--test"});
  w.count(0, 1, "list_batch [NAME] [--test]");
  return cmd::list_batch{w.plain.empty() ? "" : name(w.plain[0]), w.has("--test")};
}

command stat(word_span all) {
  const words w(all, {"--delay", "--count"}, {"--bw", "--rate", "--mb"});
  w.count(1, ~std::size_t{0}, "stat [--bw] [--rate] [--mb] [--delay S] [--count N] GROUP...");
  cmd::stat c;
  c.bandwidth = w.has("--bw");
  c.rate = w.has("--rate");
  c.megabytes = w.has("--mb");
  if (const std::string* d = w.value("--delay")) c.delay_s = seconds("--delay", *d, 86400);
  if (c.delay_s < 0.01) throw mistake{"--delay: 0.01 s at least"};
  w.read<std::uint64_t>("--count", c.count, 1, ~std::uint64_t{0});
  for (const std::string& g : w.plain) c.groups.push_back(name(g));
  return c;
}

command show_error(word_span all) {
  const words w(all, {}, {});
  w.count(1, ~std::size_t{0}, "show_error GROUP...");
  cmd::show_error c;
  for (const std::string& g : w.plain) c.groups.push_back(name(g));
  return c;
}

command sleep(word_span all) {
  const words w(all, {}, {});
  w.count(1, 1, "sleep SECONDS");
  return cmd::sleep{seconds("sleep", w.plain[0], 1e6)};
}

const std::map<std::string_view, command (*)(word_span)>& all_commands() {
  static const std::map<std::string_view, command (*)(word_span)> all = {
      {"new_session", new_session},
      {"end_session", nothing_more<cmd::end_session>},
      {"show_session", nothing_more<cmd::show_session>},
      {"add_group", add_group},
      {"del_group", del_group},
      {"list_group", list_group},
      {"ping", ping},
      {"add_batch", add_batch},
      {"add_test", add_test},
      {"run", of_batch<cmd::run>},
      {"stop", of_batch<cmd::stop>},
      {"wait", wait},
      {"list_batch", list_batch},
      {"query", of_batch<cmd::query>},
      {"stat", stat},
      {"show_error", show_error},
      {"sleep", sleep},
  };
  return all;
}

}  // namespace

std::optional<command> parse_command(std::span<const std::string> all, std::string& why) {
  if (all.empty()) {
    why = "there is no command";
    return std::nullopt;
  }
  const auto found = all_commands().find(all[0]);
  if (found == all_commands().end()) {
    why = fmt::format("there is no command {}", all[0]);
    return std::nullopt;
  }
  try {
    return found->second(all);
  } catch (const mistake& m) {
    why = fmt::format("{}: {}", all[0], m.why);
    return std::nullopt;
  }
}

const char* command_help() noexcept {
  return "commands, one a line or with ; between:\n"
         "  new_session [--timeout S] [--force] NAME    end_session    show_session\n"
         "  add_group NAME NID...      NIDs may have ranges: 192.168.1.[2-5]@kfx\n"
         "  del_group NAME    list_group [NAME]    ping [--group NAME]\n"
         "  add_batch NAME    list_batch [NAME] [--test]\n"
         "  add_test [--batch NAME] [--loop N] [--concurrency N] [--distribute A:B] [--rpc-timeout S]\n"
         "           --from GROUP --to GROUP ping | brw read|write [check=simple|full] [size=4K|1M] [off=N]\n"
         "  run [BATCH]    stop [BATCH]    wait [--timeout S] [BATCH]    query [BATCH]\n"
         "  stat [--bw] [--rate] [--mb] [--delay S] [--count N] GROUP...    show_error GROUP...    sleep S\n";
}

}  // namespace lnet::selftest
