// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// kfx-store: a small file service over kfx.

#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <thread>

#include "browse.hpp"
#include "get.hpp"
#include "part_file.hpp"
#include "put.hpp"
#include "server.hpp"

namespace {

struct arguments {
  std::string uri, first, second;
  store::transfer_options options;
  store::server_options server;
  bool json = false;
  bool keep_set_id = false;
  unsigned threads = 0;
  unsigned timeout = 0;
};

/// Descriptors are what bounds the files under way; the soft limit is a default, not a wish.
void raise_limits() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

unsigned threads(const arguments& a) {
  return a.threads ? a.threads : std::max(2u, std::min(8u, std::thread::hardware_concurrency() * 2));
}

store::target target(const arguments& a) { return {a.uri, a.timeout, a.json}; }

int serve(arguments& a) {
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGINT);
  sigaddset(&end, SIGTERM);
  // Before any thread: they inherit it, and the wait below is the only one to see them.
  pthread_sigmask(SIG_BLOCK, &end, nullptr);
  a.server.threads = threads(a);
  const store::server server(a.server);
  if (server.swept()) std::fprintf(stderr, "kfx-store: removed %zu unfinished files\n", server.swept());
  for (const std::string& address : server.addresses()) std::printf("listening %s\n", address.c_str());
  std::printf("ready\n");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&end, &signal);
  return 0;
}

template <class Transfer>
int transfer(const arguments& a, const char* verb) {
  store::report report(verb, a.uri, a.json);
  try {
    const auto note = [&report](const std::string& line) { report.note(line); };
    store::session session(a.uri, {.threads = threads(a), .timeout = a.timeout, .note = note});
    report.start_bar();
    {
      Transfer run(session, report, a.options);
      run.run(a.first, a.second);
    }
    report.summary(session.peer().explain());
  } catch (const std::system_error& e) {
    const bool get = std::string(verb) == "get";
    report.cut_short(get ? a.first : a.second, get ? a.second : a.first, e);
  }
  return report.count.failed ? 1 : 0;
}

void threads_option(CLI::App& verb, arguments& a) {
  verb.add_option("--threads", a.threads, "disk threads; the default is two a CPU, 2 to 8")
      ->check(CLI::Range(1, 256))
      ->default_str(std::to_string(threads(a)));
}

void client_options(CLI::App& verb, arguments& a, const char* names) {
  verb.add_option(names, a.uri, "the server: kfx://host:port, tcp://host:port, ...")->required();
  verb.add_flag("--json", a.json, "one JSON object instead of text");
  // Not written to the variable: what is not said leaves the URI's limit and KFX_LIMIT as they are.
  verb.add_option("--timeout", a.timeout, "give up after so many seconds without a sign of the server")
      ->check(CLI::Range(1, 86400))
      ->default_str("30");
  threads_option(verb, a);
}

void transfer_options(CLI::App& verb, arguments& a) {
  verb.add_flag("-r,--recursive", a.options.recursive, "a directory with all that is in it");
  verb.add_flag("--fsync", a.options.each_fsync, "each file is on the disk before it gets its name");
  verb.add_flag("--no-sync", a.options.no_sync, "no sync at the end");
}

void run(CLI::App& app, arguments& a, int& status) {
  auto* verb = app.add_subcommand("serve", "serve a directory until SIGINT or SIGTERM");
  verb->add_option("directory", a.server.directory, "what is served")->required();
  verb->add_option("--listen", a.server.listen, "URIs to be reached at")->required();
  threads_option(*verb, a);
  verb->add_option("--grace", a.server.grace, "seconds an upload outlives its client's connection")
      ->default_str(std::to_string(a.server.grace.count()));
  verb->add_flag("--keep-set-id", a.keep_set_id, "keep set-user-id and set-group-id bits of files");
  verb->callback([&] { status = serve(a); });

  verb = app.add_subcommand("get", "fetch a file, or a tree into a directory");
  client_options(*verb, a, "--from,--server");
  transfer_options(*verb, a);
  verb->add_flag("--keep-set-id", a.keep_set_id, "keep set-user-id and set-group-id bits of files");
  verb->add_option("remote", a.first, "path below the served directory; . is all of it")->required();
  verb->add_option("local", a.second, "the name it gets here, or a directory to put it into")->required();
  verb->callback([&] { status = transfer<store::getter>(a, "get"); });

  verb = app.add_subcommand("put", "send a file, or a directory's tree");
  client_options(*verb, a, "--to,--server");
  transfer_options(*verb, a);
  verb->add_option("local", a.first, "file or directory here")->required();
  verb->add_option("remote", a.second, "the name it gets below the served directory")->required();
  verb->callback([&] { status = transfer<store::putter>(a, "put"); });

  verb = app.add_subcommand("ls", "list a directory");
  client_options(*verb, a, "--at,--server");
  verb->add_flag("-r,--recursive", a.options.recursive, "and what is below");
  verb->add_option("path", a.first, "below the served directory")->default_str(".");
  verb->callback([&] { status = store::list(target(a), a.first, a.options.recursive); });

  verb = app.add_subcommand("stat", "tell about a file");
  client_options(*verb, a, "--at,--server");
  verb->add_option("path", a.first, "below the served directory")->required();
  verb->callback([&] { status = store::show(target(a), a.first); });

  verb = app.add_subcommand("rm", "remove a file, an empty directory, or a tree");
  client_options(*verb, a, "--at,--server");
  verb->add_flag("-r,--recursive", a.options.recursive, "a directory with all that is in it");
  verb->add_option("path", a.first, "below the served directory")->required();
  verb->callback([&] { status = store::remove(target(a), a.first, a.options.recursive); });
  app.parse_complete_callback([&] { store::keep_set_id(a.keep_set_id); });
}

}  // namespace

int main(int argc, char** argv) {
  ::umask(0);  // all modes here are meant as they are said
  raise_limits();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that is too large is an error, not an end
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("kfx-store: files over kfx");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "the options of every verb");
  arguments a;
  int status = 0;
  run(app, a, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) ? 2 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kfx-store: %s\n", store::printable(e.what()).c_str());
    return 1;
  }
  return status;
}
