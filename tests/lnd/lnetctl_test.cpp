// SPDX-License-Identifier: BSD-2-Clause
#include "lnetctl.hpp"

#include <stdlib.h>
#include <yaml-cpp/yaml.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "base/seed.hpp"
#include "commands.hpp"
#include "control_server.hpp"
#include "fake_lnet.hpp"
#include "folder.hpp"
#include "setup.hpp"

using lnet_test::fake_lnet;

namespace {

struct outcome {
  int status;
  std::string out, err;
};

/// An LNet, and the program run on it.
class site {
 public:
  outcome run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"--socket", dir_.file("socket")});
    std::istringstream in(input);
    std::ostringstream out, err;
    const int status = lnet::lnetctl(std::move(arguments), in, out, err);
    return {status, out.str(), err.str()};
  }
  void done(std::vector<std::string> arguments, const std::string& input = "") {
    const outcome o = run(std::move(arguments), input);
    INFO(o.out << o.err);
    CHECK(o.status == 0);
    CHECK((o.out + o.err).empty());
  }
  std::string shown(std::vector<std::string> arguments) {
    const outcome o = run(std::move(arguments));
    INFO(o.err);
    CHECK(o.status == 0);
    return o.out;
  }
  std::string file(const std::string& name) const { return dir_.file(name); }

  fake_lnet lnet;

 private:
  lnet_test::folder dir_;
  lnet::control_server server_{dir_.file("socket"), lnet};
};

std::string refused(const std::string& document) {
  std::vector<lnet::request> out = {{{"kept"}}};
  std::string why;
  INFO(document);
  CHECK_FALSE(lnet::setup_requests(document, false, out, why));
  CHECK_FALSE(why.empty());
  CHECK(out.size() == 1);
  return why;
}

}  // namespace

TEST_CASE("every verb reaches LNet", "[lnetctl]") {
  site s;
  s.done({"net", "add", "--net", "kfx1", "--if", "eth0,eth1[1]", "--cpt", "0-1"});
  s.done({"peer", "add", "--prim_nid", "10.0.0.9@kfx1", "--nid", "10.1.0.9@kfx1,10.2.0.9@kfx1"});
  const YAML::Node nets = YAML::Load(s.shown({"net", "show", "--verbose"}))["net"];
  REQUIRE(nets.size() == 2);
  CHECK(nets[0]["net type"].as<std::string>() == "kfx1");
  const YAML::Node ni = nets[0]["local NI(s)"][1];
  CHECK(ni["nid"].as<std::string>() == "10.0.0.2@kfx1");
  CHECK(ni["status"].as<std::string>() == "up");
  CHECK(ni["interfaces"][0].as<std::string>() == "eth1");
  CHECK(ni["health stats"]["health value"].as<int>() == 1000);
  CHECK(ni["tunables"]["min_tx_credits"].as<int>() == -3);
  CHECK(ni["CPT"].as<std::string>() == "[1]");
  const YAML::Node peers = YAML::Load(s.shown({"peer", "show"}))["peer"];
  CHECK(peers[0]["primary nid"].as<std::string>() == "10.0.0.9@kfx1");
  CHECK(peers[0]["peer ni"].size() == 3);
  CHECK(YAML::Load(s.shown({"ping", "10.1.0.9@kfx1", "--timeout", "7"}))["ping"][0]["peer ni"].size() == 3);
  CHECK(s.lnet.ping_limit == std::chrono::milliseconds(7));
  s.lnet.stats_.sent = 5;
  CHECK(YAML::Load(s.shown({"stats", "show"}))["statistics"]["send_count"].as<int>() == 5);
  s.done({"stats", "reset"});
  CHECK(s.lnet.stats_.sent == 0);
  s.done({"set", "health", "--nid", "10.0.0.1@kfx1", "--health", "500"});
  CHECK(s.lnet.nis()[0].health == 500);
  s.done({"net", "set", "--nid", "10.0.0.1@kfx1", "--health", "600"});
  CHECK(s.lnet.nis()[0].health == 600);
  s.done({"peer", "set", "--nid", "10.1.0.9@kfx1", "--health", "700"});
  CHECK(s.lnet.peers()[0].nis[1].health == 700);
  CHECK(YAML::Load(s.shown({"conn", "show", "--net", "kfx1"}))["connections"].size() == 2);
  s.done({"conn", "close", "--net", "kfx1", "--nid", "10.0.0.9@kfx1"});
  CHECK(s.lnet.closed.size() == 1);
  s.done({"peer", "del", "--prim_nid", "10.0.0.9@kfx1"});
  s.done({"net", "del", "--net", "kfx1"});
  CHECK(s.lnet.nis().size() == 1);
  CHECK(s.lnet.peers().empty());
}

TEST_CASE("refusals, bad arguments and silence differ", "[lnetctl]") {
  site s;
  const outcome refusal = s.run({"net", "del", "--net", "tcp"});
  CHECK(refusal.status == 1);
  CHECK(refusal.out.empty());
  CHECK(YAML::Load(refusal.err)["del"][0]["net"]["errno"].as<int>() == -ENOENT);
  const outcome silent = s.run({"ping", "10.0.0.1@kfx"});
  CHECK(silent.status == 1);
  CHECK(YAML::Load(silent.out)["ping"][0]["errno"].as<int>() == -ETIMEDOUT);
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"net"},
                                             {"fly"},
                                             {"net", "add"},
                                             {"net", "show", "--nid", "1"},
                                             {"ping"},
                                             {"net", "add", "--net", "kfx one"},
                                             {"net", "add", "--net", "kfx\nnet del --net tcp"}}) {
    const outcome o = s.run(arguments);
    CHECK(o.status == 2);
    CHECK_FALSE(o.err.empty());
  }
  CHECK(s.run({"--help"}).status == 0);
  std::istringstream in;
  std::ostringstream out, err;
  CHECK(lnet::lnetctl({"--socket", s.file("none"), "net", "show"}, in, out, err) == 3);
  CHECK(err.str().find("no LNet can be reached there") != std::string::npos);
}

TEST_CASE("the socket may come from the environment", "[lnetctl]") {
  site s;
  std::istringstream in;
  std::ostringstream out, err;
  ::unsetenv("KFX_LNET_SOCKET");
  CHECK(lnet::lnetctl({"stats", "reset"}, in, out, err) == 2);
  ::setenv("KFX_LNET_SOCKET", s.file("socket").c_str(), 1);
  CHECK(lnet::lnetctl({"stats", "reset"}, in, out, err) == 0);
  ::unsetenv("KFX_LNET_SOCKET");
  // Behind the verb, too.
  CHECK(lnet::lnetctl({"stats", "reset", "--socket", s.file("socket")}, in, out, err) == 0);
}

TEST_CASE("what was exported can be imported", "[lnetctl][random]") {
  kfx_test::rng r(kfx_test::seed("export and import"));
  for (int round = 0; round < 20; ++round) {
    site from, to;
    const char* const kinds[] = {"kfx", "tcp", "o2ib"};
    std::vector<std::string> nets;
    for (auto n = kfx_test::below(r, 4); n != 0; --n) {
      const std::string net = kinds[n - 1] + std::to_string(kfx_test::below(r, 3));
      nets.push_back(net);
      std::string interfaces;
      const char* const cpts[] = {"", "[0]", "[1]", "[0-1]"};
      for (auto i = kfx_test::below(r, 4); i != 0; --i)
        (interfaces += (interfaces.empty() ? "eth" : ",eth") + std::to_string(i)) += cpts[kfx_test::below(r, 4)];
      std::vector<std::string> arguments = {"net", "add", "--net", net};
      if (!interfaces.empty()) arguments.insert(arguments.end(), {"--if", interfaces});
      if (kfx_test::below(r, 2) != 0)
        arguments.insert(arguments.end(), {"--cpt", std::to_string(kfx_test::below(r, 2))});
      from.done(arguments);
    }
    for (auto n = nets.empty() ? 0 : kfx_test::below(r, 5); n != 0; --n) {
      const std::string net = nets[kfx_test::below(r, nets.size())];
      std::vector<std::string> arguments = {"peer", "add", "--prim_nid", "10.9.0." + std::to_string(n) + "@" + net};
      if (n % 2 != 0) arguments.insert(arguments.end(), {"--nid", "10.8.0.1@" + net + ",10.8.0.2@kfx7"});
      from.done(arguments);
    }
    const std::string exported = from.shown({"export"});
    INFO(exported);
    std::ofstream(to.file("setup.yaml")) << exported;
    if (round % 2 == 0)
      to.done({"import"}, exported);
    else
      to.done({"import", to.file("setup.yaml")});
    CHECK(to.shown({"export"}) == exported);
    CHECK(to.shown({"net", "show", "--verbose"}) == from.shown({"net", "show", "--verbose"}));
    // A second time everything but peers is there already, and nothing is lost.
    if (!nets.empty()) CHECK(to.run({"import"}, exported).status == 1);
    to.done({"import", "--del"}, exported);
    CHECK(to.lnet.nis().size() == 1);
  }
}

TEST_CASE("an import tries everything, and tells what failed", "[lnetctl]") {
  site s;
  s.done({"net", "add", "--net", "kfx"});
  const outcome o = s.run({"import"},
                          "net:\n"
                          "  - net type: kfx\n"
                          "  - net type: lo\n"
                          "  - net type: tcp\n"
                          "peer:\n"
                          "  - primary nid: 10.0.0.1@gni\n"
                          "  - primary nid: 10.0.0.1@tcp\n");
  CHECK(o.status == 1);
  CHECK(o.err.find("is no NID") != o.err.npos);
  CHECK(s.lnet.nis().size() == 2);
  const outcome half = s.run({"import"},
                             "net:\n"
                             "  - net type: kfx\n"
                             "  - net type: tcp\n");
  CHECK(half.status == 1);
  CHECK(YAML::Load(half.err)["add"][0]["net"]["errno"].as<int>() == -EEXIST);
  CHECK(s.lnet.nis().size() == 3);
  CHECK(s.run({"import", s.file("none")}).status == 1);
  CHECK(s.run({"import"}, std::string(17 << 20, ' ')).status == 1);
}

TEST_CASE("what the kernel's lnetctl writes is understood", "[lnetctl]") {
  std::vector<lnet::request> out;
  std::string why, line;
  REQUIRE(
      lnet::setup_requests("net:\n"
                           "    - net type: lo\n"
                           "      local NI(s):\n"
                           "        - nid: 0@lo\n"
                           "          status: up\n"
                           "    - net type: tcp\n"
                           "      local NI(s):\n"
                           "        - nid: 10.0.0.1@tcp\n"
                           "          status: up\n"
                           "          interfaces:\n"
                           "              0: eth0\n"
                           "          tunables:\n"
                           "              peer_timeout: 180\n"
                           "          CPT: \"[0,1,3]\"\n"
                           "route:\n"
                           "    - net: o2ib\n"
                           "peer:\n"
                           "    - primary nid: 10.0.0.2@tcp\n"
                           "      Multi-Rail: True\n"
                           "      peer ni:\n"
                           "        - nid: 10.0.0.2@tcp\n"
                           "        - nid: 10.0.0.3@tcp\n",
                           false, out, why));
  REQUIRE(out.size() == 2);
  REQUIRE(out[0].line(line, why));
  CHECK(line == "net add --if eth0[0-1,3] --net tcp");
  REQUIRE(out[1].line(line, why));
  CHECK(line == "peer add --nid 10.0.0.3@tcp --prim_nid 10.0.0.2@tcp");
}

TEST_CASE("documents that make no sense are refused", "[lnetctl]") {
  const std::pair<const char*, const char*> vectors[] = {
      {"", "must be a map"},
      {"net", "must be a map"},
      {"- net", "must be a map"},
      {"{", "no YAML"},
      {"net: [", "no YAML"},
      {"route: []", "neither"},
      {"net: 5", "must be a list"},
      {"net: {a: b}", "must be a list"},
      {"net: [5]", "list of maps"},
      {"net: [[]]", "list of maps"},
      {"net: [{}]", "\"net type\" is missing"},
      {"net: [{net type: foo}]", "no network"},
      {"net: [{net type: [kfx]}]", "\"net type\" is missing"},
      {"net: [{net type: kfx, local NI(s): 3}]", "must be a list"},
      {"net: [{net type: kfx, local NI(s): [{nid: x}, {nid: y}]}]", "each needs its interface"},
      {"net: [{net type: kfx, local NI(s): [{interfaces: eth0}]}]", "must be a map like"},
      {"net: [{net type: kfx, local NI(s): [{interfaces: {0: [eth0]}}]}]", "must be a map like"},
      {"net: [{net type: kfx, local NI(s): [{interfaces: {0: 'a b'}}]}]", "spaces"},
      {"net: [{net type: kfx, local NI(s): [{CPT: '[3-1]'}]}]", "not below the first"},
      {"net: [{net type: kfx, local NI(s): [{CPT: [1]}]}]", "must be a text"},
      {"peer: [{}]", "\"primary nid\" is missing"},
      {"peer: [{primary nid: 10.0.0.1}]", "no NID"},
      {"peer: [{primary nid: '<?>'}]", "no NID"},
      {"peer: [{primary nid: 1@gni, peer ni: [{nid: x}]}]", "no NID"},
  };
  for (const auto& [document, part] : vectors) {
    const std::string why = refused(document);
    INFO(document << ": " << why);
    CHECK(why.find(part) != why.npos);
  }
  CHECK(refused("net:\n  - net type: kfx\n  - net type: foo\n").find("net 2 (line 3)") != std::string::npos);
  refused(std::string(200000, '['));
  refused(std::string(200000, '{'));
}

TEST_CASE("random documents are read or refused", "[lnetctl][random]") {
  kfx_test::rng r(kfx_test::seed("setup documents"));
  const std::string sound =
      "net:\n    - net type: kfx\n      local NI(s):\n        - nid: 10.0.0.1@kfx\n          interfaces:\n"
      "              0: eth0\n          CPT: \"[0,1]\"\npeer:\n    - primary nid: 10.0.0.2@kfx\n      peer ni:\n"
      "        - nid: 10.0.0.3@kfx\n";
  const std::string_view letters = "0123456789[]{}-:,&*!|>'\"%@#\n \t\\abn\x01\xff";
  unsigned read = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = sound;
    for (auto k = kfx_test::below(r, 5); k != 0; --k) {
      const auto at = kfx_test::below(r, text.size());
      if (kfx_test::below(r, 2) != 0)
        text.erase(at, 1 + kfx_test::below(r, 10));
      else
        text.insert(at, 1, letters[kfx_test::below(r, letters.size())]);
    }
    std::vector<lnet::request> out;
    std::string why, line;
    if (!lnet::setup_requests(text, i % 2 != 0, out, why)) {
      INFO(text);
      REQUIRE_FALSE(why.empty());
      continue;
    }
    ++read;
    for (const lnet::request& each : out) REQUIRE(each.line(line, why));
  }
  CHECK(read > 0);
}
