// SPDX-License-Identifier: BSD-2-Clause
#include "run_main.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "console.hpp"
#include "control_server.hpp"
#include "host_management.hpp"
#include "line_source.hpp"
#include "script.hpp"

namespace lnet::selftest {

namespace {

struct arguments {
  host_options host;
  node_options node;
  unsigned transaction_timeout = 50;
  std::vector<std::string> driver_options;
  std::string control;  ///< a socket's path
  bool json = false, summary = false, keep_going = false;
};

void complain(const std::string& what) { std::fprintf(stderr, "kfx-lst: %s\n", what.c_str()); }

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

std::unique_ptr<host> make_host(arguments& a, std::vector<driver_ptr> drivers) {
  for (const std::string& o : a.driver_options) {
    const auto equals = o.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw CLI::ValidationError("--driver-option " + o, "KEY=VALUE is wanted");
    }
    a.host.tunables[o.substr(0, equals)] = o.substr(equals + 1);
  }
  a.host.transaction_timeout = std::chrono::seconds(a.transaction_timeout);
  return std::make_unique<host>(a.host, std::move(drivers));
}

/// A node with what lnetctl reaches it by, where that is wanted.
struct managed_node {
  managed_node(arguments& a, std::vector<driver_ptr> drivers)
      : tested(make_host(a, std::move(drivers)), a.node), management(tested.lnet()) {
    if (!a.control.empty()) server.emplace(a.control, management);
  }
  node tested;
  host_management management;
  std::optional<control_server> server;
};

int serve(arguments& a, std::vector<driver_ptr> drivers) {
  managed_node managed(a, std::move(drivers));
  node& n = managed.tested;
  std::string line = "ready";
  for (const ni_info& ni : n.lnet().nis()) line += " " + to_string(ni.nid);
  std::puts(line.c_str());
  std::fflush(stdout);
  const sigset_t end = ending_signals();
  int signal = 0;
  sigwait(&end, &signal);
  return 0;
}

/// Tells the console of signals while it lives.
class signal_watch {
 public:
  explicit signal_watch(console& c) : thread_([this, &c] { watch(c); }) {}
  ~signal_watch() {
    end_.store(true);
    thread_.join();
  }
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

 private:
  void watch(console& c) {
    const sigset_t wanted = ending_signals();
    const timespec limit{.tv_sec = 0, .tv_nsec = 100'000'000};
    while (!end_.load()) {
      if (sigtimedwait(&wanted, nullptr, &limit) > 0) c.interrupt();
    }
  }
  std::atomic<bool> end_{false};
  std::thread thread_;
};

/// Runs statements as they come.
class session_of_text {
 public:
  session_of_text(console& c, const arguments& a) : console_(c), arguments_(a) {}

  /// False: no more.
  bool text(const std::string& text, unsigned first_line) {
    std::vector<statement> all;
    std::string why;
    if (!parse_script(text, all, why)) return failed(2, why);
    for (const statement& s : all) {
      if (!one(s, first_line)) return false;
    }
    return true;
  }
  /// Everything is looked at before anything is done.
  void checked_text(const std::string& whole) {
    std::vector<statement> all;
    std::string why;
    bool good = parse_script(whole, all, why);
    if (!good) failed(2, why);
    for (const statement& s : all) {
      if (own_word(s.words[0]) || parse_command(s.words, why)) continue;
      good = false;
      failed(2, fmt::format("line {}: {}", s.line, why));
    }
    if (good) text(whole, 1);
  }
  /// What every test did, unless that has been said at the end of the session.
  void conclude() {
    if (arguments_.summary && open_) console_.summary();
    open_ = false;
  }
  int status() const noexcept { return status_; }

 private:
  static bool own_word(const std::string& w) { return w == "help" || w == "exit"; }

  bool one(const statement& s, unsigned first_line) {
    if (s.words[0] == "help") std::fputs(command_help(), stdout);
    if (own_word(s.words[0])) return s.words[0] == "help";
    const std::string where = fmt::format("line {}: ", s.line + first_line - 1);
    std::string why;
    const auto c = parse_command(s.words, why);
    if (!c) return failed(2, where + why);
    if (std::holds_alternative<cmd::end_session>(*c)) conclude();
    const bool good = console_.run(*c, why);
    if (good && std::holds_alternative<cmd::new_session>(*c)) open_ = true;
    if (console_.interrupted()) {
      complain(where + "interrupted");
      status_ = 130;
      return false;
    }
    return good || failed(1, where + why);
  }
  /// Does it go on?
  bool failed(int status, const std::string& why) {
    complain(why);
    if (status_ == 0) status_ = status;
    return arguments_.keep_going;
  }

  console& console_;
  const arguments& arguments_;
  bool open_ = false;  ///< there is a session
  int status_ = 0;
};

void read_lines(console& c, session_of_text& run) {
  const bool prompt = ::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO);
  line_source lines(STDIN_FILENO, [&c] { return c.interrupted(); });
  for (unsigned n = 1;; ++n) {
    if (prompt) std::fputs("lst> ", stdout);
    std::fflush(stdout);
    const auto line = lines.next();
    if (!line || !run.text(*line, n)) return;
  }
}

/// Statements from the command line: words with ; between, or texts with blanks in them, each a line.
std::string joined(const std::vector<std::string>& words) {
  const bool texts =
      std::any_of(words.begin(), words.end(), [](const auto& w) { return w.find(' ') != std::string::npos; });
  std::string text;
  for (const std::string& w : words) text += w + (texts ? "\n" : " ");
  return text;
}

int direct(arguments& a, const std::vector<std::string>& words, std::vector<driver_ptr> drivers) {
  const bool from_input = words.empty() || (words.size() == 1 && words[0] == "-");
  std::string script = joined(words);
  if (!from_input && words.size() == 1 && ::access(words[0].c_str(), F_OK) == 0) {
    std::ifstream file(words[0]);
    std::stringstream content;
    content << file.rdbuf();
    if (!file) {
      complain("cannot read " + words[0]);
      return 2;
    }
    script = content.str();
  }
  managed_node managed(a, std::move(drivers));
  output out;
  out.json = a.json;
  out.terminal = ::isatty(STDOUT_FILENO) != 0;
  out.text = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  out.notes = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); };
  console c(managed.tested, out);
  const signal_watch watch(c);
  session_of_text run(c, a);
  if (from_input) {
    read_lines(c, run);
  } else {
    run.checked_text(script);
  }
  run.conclude();
  return run.status();
}

void common_options(CLI::App& verb, arguments& a) {
  verb.add_option("--networks", a.host.networks, "networks of this node, as LNet's module parameter: kfx0(eth0)");
  verb.add_option("--driver-option", a.driver_options, "KEY=VALUE for the drivers; may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--cpt-pattern", a.host.cpu_pattern, "CPU partitions, as cpu_pattern: \"0[0-3] 1[4-7]\", \"N\"");
  verb.add_option("--cpu-npartitions", a.host.cpu_npartitions, "so many CPU partitions of equal size");
  verb.add_option("--credits", a.host.credits, "messages under way on an interface")->capture_default_str();
  verb.add_option("--peer-credits", a.host.peer_credits, "of these, to one peer")->capture_default_str();
  verb.add_option("--transaction-timeout", a.transaction_timeout, "seconds until LNet gives up a message")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  verb.add_option("--control", a.control, "path of a socket at which kfx-lnetctl can manage this LNet");
  verb.add_option("--threads", a.node.threads, "threads of the node itself; the default is one a CPU");
}

}  // namespace

int run_main(int argc, char** argv, std::vector<driver_ptr> drivers) {
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t end = ending_signals();
  // Before any thread: they inherit it, and who waits for signals is the only one to see them.
  pthread_sigmask(SIG_BLOCK, &end, nullptr);
  CLI::App app("kfx-lst: LNet selftest");
  app.require_subcommand(1);
  arguments a;
  int status = 0;
  CLI::App* const node = app.add_subcommand("node", "be a test node until SIGINT or SIGTERM");
  common_options(*node, a);
  node->callback([&] { status = serve(a, std::move(drivers)); });
  CLI::App* const run = app.add_subcommand("run", "be a console (and a test node while it lasts)");
  common_options(*run, a);
  run->add_flag("--json", a.json, "objects instead of tables, one a line");
  run->add_flag("--summary", a.summary, "at the end of a session, what every test did");
  run->add_flag("--keep-going", a.keep_going, "do not stop at a command that fails");
  run->footer(
      std::string(
          "What follows the options is a script's name, commands with \\; between, or -: commands are read from\n"
          "standard input then, as without any.\n") +
      command_help());
  run->prefix_command();
  run->callback([&] { status = direct(a, run->remaining(), std::move(drivers)); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) ? 2 : 0;
  } catch (const std::exception& e) {
    complain(e.what());
    return 1;
  }
  return status;
}

}  // namespace lnet::selftest
