// SPDX-License-Identifier: BSD-2-Clause
#include "lnetctl.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>

#include "control_client.hpp"
#include "setup.hpp"

namespace lnet {
namespace {

constexpr std::size_t longest_file = std::size_t{16} << 20;

/// What the arguments say.
struct order {
  request wanted;
  bool verbose = false, import = false, remove = false;
  std::string file;
};

/// The verbs, and what each is asked of LNet as.
class menu {
 public:
  menu(CLI::App& app, order& out) : out_(out) {
    // Behind the verb as well.
    app.fallthrough();
    app.require_subcommand(1);
    add_nets(group(app, "net", "networks of this host"));
    add_peers(group(app, "peer", "other hosts"));
    CLI::App& stats = group(app, "stats", "what passed");
    leaf(stats, "show", "messages and bytes, and how messages ended");
    leaf(stats, "reset", "count from 0");
    CLI::App& set = group(app, "set", "what can be set on the run");
    health(leaf(set, "health", "the health of an NI or a peer's NI, 0 to 1000"));
    CLI::App& conn = group(app, "conn", "connections of drivers");
    leaf(conn, "show", "with whom")->add_option("--net", "of this network")->required();
    CLI::App* const close = leaf(conn, "close", "close one; the next message opens it again");
    close->add_option("--net", "on this network")->required();
    close->add_option("--nid", "to this peer")->required();
    add_ping(app);
    leaf(app, "export", "write networks and peers as import reads them");
    add_import(app);
  }

 private:
  static CLI::App& group(CLI::App& under, const std::string& name, const std::string& help) {
    CLI::App* const a = under.add_subcommand(name, help);
    a->require_subcommand(1)->fallthrough();
    return *a;
  }

  /// Becomes a request with the words that lead to it, and the options that are given.
  CLI::App* leaf(CLI::App& under, const std::string& name, const std::string& help) {
    CLI::App* const a = under.add_subcommand(name, help);
    a->fallthrough();
    std::vector<std::string> words = {name};
    if (under.get_parent() != nullptr) words.insert(words.begin(), under.get_name());
    a->callback([this, a, words] {
      out_.wanted.words = words;
      for (const CLI::Option* const o : a->get_options()) {
        if (o->count() == 0 || o == a->get_help_ptr()) continue;
        if (o->get_lnames().empty())
          for (const std::string& word : o->results()) out_.wanted.words.push_back(word);
        else
          out_.wanted.options["--" + o->get_lnames().front()] = o->results().front();
      }
    });
    return a;
  }

  void health(CLI::App* a) {
    a->add_option("--nid", "whose")->required();
    a->add_option("--health", "0 to 1000")->required();
    a->callback([this, a] {
      out_.wanted.words = {"set", "health"};
      for (const char* const name : {"--nid", "--health"})
        out_.wanted.options[name] = a->get_option(name)->results().front();
    });
  }

  void add_nets(CLI::App& net) {
    CLI::App* const show = leaf(net, "show", "networks and their NIs");
    show->add_option("--net", "only this one");
    show->add_flag("--verbose,-v", out_.verbose, "with statistics, health and tunables");
    CLI::App* const add = leaf(net, "add", "start a network");
    add->add_option("--net", "kfx, kfx1, ...")->required();
    add->add_option("--if", "interfaces, an NI each: eth0,eth1[0-1]");
    add->add_option("--cpt", "CPTs that see to it: 0-1,3");
    leaf(net, "del", "stop a network")->add_option("--net", "which")->required();
    health(leaf(net, "set", "the health of an NI"));
  }

  void add_peers(CLI::App& peer) {
    CLI::App* const show = leaf(peer, "show", "who is known");
    show->add_option("--nid", "only this one");
    show->add_flag("--verbose,-v", out_.verbose, "with statistics, health and credits");
    CLI::App* const add = leaf(peer, "add", "say which NIDs are one host");
    add->add_option("--prim_nid", "its first NID")->required();
    add->add_option("--nid", "its other NIDs, with commas between");
    leaf(peer, "del", "forget a host")->add_option("--prim_nid", "its first NID")->required();
    health(leaf(peer, "set", "the health of a peer's NI"));
  }

  void add_ping(CLI::App& app) {
    CLI::App* const ping = leaf(app, "ping", "ask hosts for their NIDs");
    ping->add_option("NID", "whom; several with commas or spaces between")->required()->expected(1, 16);
    ping->add_option("--timeout", "milliseconds to wait for each; 1000");
  }

  void add_import(CLI::App& app) {
    CLI::App* const import = app.add_subcommand("import", "bring about what export wrote");
    import->fallthrough();
    import->add_option("FILE", out_.file, "the file; standard input without one");
    import->add_flag("--del", out_.remove, "undo it instead");
    import->callback([this] { out_.import = true;
  });
}

order& out_;
};  // namespace

bool read_all(std::istream& in, std::string& text) {
  char chunk[65536];
  while (in.read(chunk, sizeof chunk) || in.gcount() > 0) {
    text.append(chunk, static_cast<std::size_t>(in.gcount()));
    if (text.size() > longest_file) return false;
  }
  return !in.bad();
}

/// Where each request came to; the rest is tried when one fails.
int import(control_client& lnet, const order& o, std::istream& in, std::ostream& err) {
  std::string text, why;
  const std::string name = o.file.empty() ? "standard input" : o.file;
  std::ifstream file;
  if (!o.file.empty()) file.open(o.file, std::ios::binary);
  if (!o.file.empty() && !file) {
    err << "kfx-lnetctl: " << name << ": cannot be opened\n";
    return 1;
  }
  if (!read_all(o.file.empty() ? in : file, text)) {
    err << "kfx-lnetctl: " << name << ": cannot be read, or is longer than " << (longest_file >> 20) << " MiB\n";
    return 1;
  }
  std::vector<request> requests;
  if (!setup_requests(text, o.remove, requests, why)) {
    err << "kfx-lnetctl: " << name << ": " << why << "\n";
    return 1;
  }
  int status = 0;
  for (const request& r : requests) {
    std::string line;
    if (!r.line(line, why)) continue;
    const answer a = lnet.ask(line);
    err << a.yaml;
    if (a.status != 0) status = 1;
  }
  return status;
}

int ask(control_client& lnet, const request& r, std::ostream& out, std::ostream& err) {
  std::string line, why;
  if (!r.line(line, why)) {
    err << "kfx-lnetctl: " << why << "\n";
    return 2;
  }
  const answer a = lnet.ask(line);
  // Of several pings some may have been answered.
  (a.status == 0 || r.words.front() == "ping" ? out : err) << a.yaml;
  return a.status == 0 ? 0 : 1;
}

}  // namespace lnet

int lnetctl(std::vector<std::string> arguments, std::istream& in, std::ostream& out, std::ostream& err) {
  CLI::App app("Manages a running LNet.", "kfx-lnetctl");
  order o;
  std::string socket;
  app.add_option("--socket", socket, "the control socket of that LNet")->envname("KFX_LNET_SOCKET")->required();
  menu verbs(app, o);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& e) {
    return app.exit(e, out, err) == 0 ? 0 : 2;
  }
  try {
    control_client lnet(socket);
    return o.import ? import(lnet, o, in, err) : ask(lnet, o.wanted, out, err);
  } catch (const std::system_error& e) {
    err << "kfx-lnetctl: " << e.what() << "\n";
    return 3;
  }
}

}  // namespace lnet
