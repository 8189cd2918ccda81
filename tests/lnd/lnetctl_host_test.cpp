// SPDX-License-Identifier: BSD-2-Clause
// lnetctl at two hosts whose network is in memory.
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "control_server.hpp"
#include "core_fixture.hpp"
#include "folder.hpp"
#include "host_management.hpp"
#include "lnetctl.hpp"

namespace {

/// A host that can be managed.
class managed {
 public:
  managed(lnd_test::fake_net& net, const char* networks)
      : host_(lnd_test::networks(networks), lnd_test::drivers(net.driver())) {}

  /// What it answers, which must be a success.
  std::string run(std::vector<std::string> arguments, const std::string& input = "") {
    std::ostringstream out, err;
    const int status = attempt(std::move(arguments), input, out, err);
    INFO(out.str() << err.str());
    REQUIRE(status == 0);
    return out.str();
  }
  int attempt(std::vector<std::string> arguments) {
    std::ostringstream out;
    return attempt(std::move(arguments), "", out, out);
  }
  lnet::host& host() { return host_; }

 private:
  int attempt(std::vector<std::string> arguments, const std::string& input, std::ostream& out, std::ostream& err) {
    arguments.insert(arguments.begin(), {"--socket", dir_.file("socket")});
    std::istringstream in(input);
    return lnet::lnetctl(std::move(arguments), in, out, err);
  }

  lnet_test::folder dir_;
  lnet::host host_;
  lnet::host_management management_{host_};
  lnet::control_server server_{dir_.file("socket"), management_};
};

}  // namespace

TEST_CASE("hosts are set up and asked by lnetctl", "[lnetctl]") {
  lnd_test::fake_net net(1);
  managed a(net, "tcp(10.0.0.1)"), b(net, "");
  CHECK(a.attempt({"ping", "10.0.0.2@tcp", "--timeout", "50"}) == 1);
  b.run({"net", "add", "--net", "tcp", "--if", "10.0.0.2"});
  const YAML::Node known = YAML::Load(a.run({"net", "show", "--verbose"}))["net"];
  REQUIRE(known.size() == 2);
  CHECK(known[0]["local NI(s)"][0]["interfaces"][0].as<std::string>() == "10.0.0.1");

  // Across, and what passed is counted on both sides.
  a.run({"stats", "reset"});
  const YAML::Node answer = YAML::Load(a.run({"ping", "10.0.0.2@tcp", "--timeout", "10000"}))["ping"][0];
  CHECK(answer["primary nid"].as<std::string>() == "10.0.0.2@tcp");
  CHECK(YAML::Load(a.run({"stats", "show"}))["statistics"]["send_count"].as<unsigned>() >= 1);
  CHECK(YAML::Load(b.run({"stats", "show"}))["statistics"]["recv_count"].as<unsigned>() >= 1);
  bool there = false;
  for (const auto& peer : YAML::Load(a.run({"peer", "show", "--verbose"}))["peer"])
    there = there || peer["primary nid"].as<std::string>() == "10.0.0.2@tcp";
  CHECK(there);

  a.run({"set", "health", "--nid", "10.0.0.1@tcp", "--health", "1000"});
  CHECK(a.attempt({"set", "health", "--nid", "10.0.0.77@tcp", "--health", "1000"}) == 1);
  CHECK(a.attempt({"net", "add", "--net", "tcp", "--if", "10.0.0.3"}) == 1);
  CHECK(a.attempt({"net", "add", "--net", "kfx"}) == 1);
  CHECK(a.attempt({"net", "add", "--net", "tcp1", "--cpt", "60000"}) == 1);
}

TEST_CASE("a host takes what another one exported", "[lnetctl]") {
  lnd_test::fake_net net(1);
  std::string setup, shown;
  {
    managed a(net, "tcp(10.0.0.1,10.0.0.2),tcp1(10.1.0.1)");
    a.run({"peer", "add", "--prim_nid", "10.0.0.9@tcp", "--nid", "10.1.0.9@tcp1"});
    setup = a.run({"export"});
    shown = a.run({"net", "show"});
  }
  INFO(setup);
  managed a(net, "");
  a.run({"import"}, setup);
  CHECK(a.run({"export"}) == setup);
  CHECK(a.run({"net", "show"}) == shown);
  REQUIRE(a.host().peers().size() == 1);
  CHECK(a.host().peers()[0].nis.size() == 2);
  a.run({"import", "--del"}, setup);
  // Its NIDs may still be remembered, but no longer as one host's.
  for (const auto& peer : a.host().peers()) CHECK(peer.nis.size() == 1);
  CHECK(a.host().nis().size() == 1);
}
