// SPDX-License-Identifier: BSD-2-Clause
#include "commands.hpp"

#include <catch2/catch.hpp>

#include "base/seed.hpp"
#include "fake_lnet.hpp"

using lnet::execute;
using lnet_test::fake_lnet;

namespace {

void done(fake_lnet& l, const std::string& line) {
  const auto a = execute(l, line);
  INFO(line << "\n" << a.yaml);
  CHECK(a.status == 0);
  CHECK(a.yaml.empty());
}

std::string shown(fake_lnet& l, const std::string& line) {
  const auto a = execute(l, line);
  INFO(line << "\n" << a.yaml);
  CHECK(a.status == 0);
  return a.yaml;
}

/// In lnetctl's form.
void refused(fake_lnet& l, const std::string& line, int status, const std::string& head, const std::string& part) {
  const auto a = execute(l, line);
  INFO(line << "\n" << a.yaml);
  CHECK(a.status == status);
  CHECK(a.yaml.starts_with(head + "          errno: " + std::to_string(status) + "\n          descr: \""));
  CHECK(a.yaml.find(part) != a.yaml.npos);
  CHECK(a.yaml.ends_with("\"\n"));
}

}  // namespace

TEST_CASE("networks are added, shown and deleted", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx --if eth0[0],eth1 --cpt 0-1");
  done(l, "net add --net tcp1");
  CHECK(shown(l, "net show") ==
        "net:\n"
        "    - net type: kfx\n"
        "      local NI(s):\n"
        "        - nid: 10.0.0.1@kfx\n"
        "          status: up\n"
        "          interfaces:\n"
        "              0: eth0\n"
        "        - nid: 10.0.0.2@kfx\n"
        "          status: up\n"
        "          interfaces:\n"
        "              0: eth1\n"
        "    - net type: tcp1\n"
        "      local NI(s):\n"
        "        - nid: 10.0.0.3@tcp1\n"
        "          status: up\n"
        "    - net type: lo\n"
        "      local NI(s):\n"
        "        - nid: 0@lo\n"
        "          status: up\n");
  done(l, "net del --net tcp1");
  CHECK(shown(l, "net show --net lo") ==
        "net:\n    - net type: lo\n      local NI(s):\n        - nid: 0@lo\n          status: up\n");
  refused(l, "net show --net tcp1", -ENOENT, "show:\n    - net:\n", "no NI on tcp1");
  done(l, "net del --net kfx");
  CHECK(l.nis().size() == 1);
}

TEST_CASE("a verbose network tells everything", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx --if eth0 --cpt 1");
  done(l, "set health --nid 10.0.0.1@kfx --health 900");
  CHECK(shown(l, "net show --net kfx --verbose") ==
        "net:\n"
        "    - net type: kfx\n"
        "      local NI(s):\n"
        "        - nid: 10.0.0.1@kfx\n"
        "          status: up\n"
        "          interfaces:\n"
        "              0: eth0\n"
        "          statistics:\n"
        "              send_count: 0\n"
        "              recv_count: 0\n"
        "              drop_count: 0\n"
        "              send_length: 0\n"
        "              recv_length: 0\n"
        "              drop_length: 0\n"
        "          health stats:\n"
        "              health value: 900\n"
        "              interrupts: 0\n"
        "              dropped: 0\n"
        "              aborted: 0\n"
        "              no route: 0\n"
        "              timeouts: 0\n"
        "              error: 0\n"
        "          tunables:\n"
        "              peer_credits: 8\n"
        "              credits: 256\n"
        "              available_tx_credits: 256\n"
        "              min_tx_credits: -3\n"
        "          CPT: \"[1]\"\n");
}

TEST_CASE("peers are added, shown and deleted", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx");
  done(l, "peer add --prim_nid 10.0.0.9@kfx --nid 10.0.0.9@kfx,10.1.0.9@kfx1,10.1.0.9@kfx1");
  done(l, "peer add --prim_nid 10.0.0.8@kfx");
  CHECK(shown(l, "peer show") ==
        "peer:\n"
        "    - primary nid: 10.0.0.9@kfx\n"
        "      Multi-Rail: \"True\"\n"
        "      peer ni:\n"
        "        - nid: 10.0.0.9@kfx\n"
        "          state: up\n"
        "        - nid: 10.1.0.9@kfx1\n"
        "          state: up\n"
        "    - primary nid: 10.0.0.8@kfx\n"
        "      Multi-Rail: \"False\"\n"
        "      peer ni:\n"
        "        - nid: 10.0.0.8@kfx\n"
        "          state: up\n");
  // By any of its NIDs.
  const std::string one = shown(l, "peer show --nid 10.1.0.9@kfx1 --verbose");
  CHECK(one.starts_with("peer:\n    - primary nid: 10.0.0.9@kfx\n"));
  CHECK(one.find("10.0.0.8") == one.npos);
  CHECK(one.find("          health stats:\n              health value: 1000\n") != one.npos);
  refused(l, "peer show --nid 10.0.0.7@kfx", -ENOENT, "show:\n    - peer:\n", "10.0.0.7@kfx");
  refused(l, "peer add --prim_nid 10.0.0.1@tcp", -EINVAL, "add:\n    - peer:\n", "cannot add the peer 10.0.0.1@tcp");
  done(l, "peer del --prim_nid 10.0.0.9@kfx");
  refused(l, "peer del --prim_nid 10.0.0.9@kfx", -ENOENT, "del:\n    - peer:\n", "cannot delete the peer");
  CHECK(l.peers().size() == 1);
}

TEST_CASE("statistics are shown and reset", "[commands]") {
  fake_lnet l;
  l.stats_.sent = 7;
  l.stats_.received_bytes = 1ull << 40;
  l.stats_.health[lnet::health_status::network_timeout] = 3;
  const std::string text = shown(l, "stats show");
  CHECK(text.starts_with("statistics:\n    msgs_alloc: 0\n"));
  CHECK(text.find("\n    send_count: 7\n") != text.npos);
  CHECK(text.find("\n    recv_length: 1099511627776\n") != text.npos);
  CHECK(text.find("\n    network_timeout_count: 3\n") != text.npos);
  done(l, "stats reset");
  CHECK(shown(l, "stats show").find("send_count: 0\n") != text.npos);
}

TEST_CASE("hosts are pinged", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx");
  done(l, "peer add --prim_nid 10.0.0.9@kfx --nid 10.1.0.9@kfx1");
  CHECK(shown(l, "ping 10.1.0.9@kfx1") ==
        "ping:\n"
        "    - primary nid: 10.0.0.9@kfx\n"
        "      Multi-Rail: \"True\"\n"
        "      peer ni:\n"
        "        - nid: 10.0.0.9@kfx\n"
        "        - nid: 10.1.0.9@kfx1\n");
  CHECK(l.ping_limit == std::chrono::milliseconds(1000));
  // Who answers is told of although another does not.
  const auto a = execute(l, "ping 10.0.0.7@kfx,10.0.0.9@kfx 10.0.0.6@kfx --timeout 20");
  CHECK(l.ping_limit == std::chrono::milliseconds(20));
  CHECK(a.status == -ETIMEDOUT);
  CHECK(a.yaml.starts_with("ping:\n    - errno: -110\n      descr: \"failed to ping 10.0.0.7@kfx: "));
  CHECK(a.yaml.find("    - primary nid: 10.0.0.9@kfx\n") != a.yaml.npos);
  CHECK(a.yaml.find("10.0.0.6@kfx") != a.yaml.npos);
  refused(l, "ping", -EINVAL, "ping:\n    - ping:\n", "a NID is missing");
  refused(l, "ping 10.0.0.1", -EINVAL, "ping:\n    - ping:\n", "no NID");
  for (const char* limit : {"0", "-1", "10001", "x", "1s", "99999999999999"})
    refused(l, std::string("ping 10.0.0.1@kfx --timeout ") + limit, -EINVAL, "ping:\n    - ping:\n", "--timeout is");
}

TEST_CASE("health is set", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx");
  done(l, "set health --nid 10.0.0.1@kfx --health 0");
  CHECK(l.nis().front().health == 0);
  refused(l, "set health --nid 10.0.0.2@kfx --health 0", -ENOENT, "health:\n    - set:\n", "10.0.0.2@kfx");
  for (const char* value : {"1001", "-1", "", "ten"})
    CHECK(execute(l, std::string("set health --nid 10.0.0.1@kfx --health ") + value).status == -EINVAL);
  CHECK(l.nis().front().health == 0);
}

TEST_CASE("drivers are asked", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx");
  CHECK(shown(l, "conn show --net kfx") ==
        "connections:\n"
        "    - connection: \"10.0.0.9@kfx: 3 \\\"ops\\\"\"\n"
        "    - connection: \"10.0.0.8@kfx: idle\"\n");
  done(l, "conn close --net kfx --nid 10.0.0.9@kfx");
  CHECK(l.closed == std::vector<lnet::nid>{{0x0a000009, {lnet::kind_kfx, 0}}});
  refused(l, "conn show --net tcp", -ENOENT, "show:\n    - conn:\n", "on tcp");
  l.throws = true;
  refused(l, "conn show --net kfx", -ENODEV, "show:\n    - conn:\n", "the driver is gone");
}

TEST_CASE("commands that make no sense are refused and change nothing", "[commands]") {
  fake_lnet l;
  done(l, "net add --net kfx --if eth0");
  const std::string before = shown(l, "export");
  struct {
    const char* line;
    int status;
    const char* part;
  } const vectors[] = {
      {"", -EINVAL, "no command"},
      {"   ", -EINVAL, "no command"},
      {"--net kfx", -EINVAL, "no command"},
      {"fly", -EOPNOTSUPP, "no such command"},
      {"net", -EOPNOTSUPP, "no such command"},
      {"net fly", -EOPNOTSUPP, "no such command"},
      {"net show now", -EOPNOTSUPP, "no such command"},
      {"export all", -EOPNOTSUPP, "no such command"},
      {"net show --nid 1@gni", -EINVAL, "--nid means nothing here"},
      {"net show --net", -EINVAL, "--net needs a value"},
      {"net add", -EINVAL, "--net is missing"},
      {"net add --net foo", -EINVAL, "no network"},
      {"net add --net kfx --net kfx1", -EINVAL, "--net is there twice"},
      {"net add --net lo", -EINVAL, "always there"},
      {"net add --net kfx", -EEXIST, "there already"},
      {"net add --net kfx1 --if eth0,", -EINVAL, "at character 11"},
      {"net add --net kfx1 --if eth0),tcp(eth1", -EINVAL, "more than one network"},
      {"net add --net kfx1,tcp", -EINVAL, "no network"},
      {"net add --net kfx1 --cpt 3-1", -EINVAL, "not below the first"},
      {"net add --net kfx1 --cpt 9", -EINVAL, "cannot add kfx1[9]: "},
      {"net del --net lo", -EINVAL, "always there"},
      {"net del --net tcp", -ENOENT, "cannot delete tcp"},
      {"peer add --prim_nid <?>", -EINVAL, "no NID"},
      {"peer add --prim_nid 10.0.0.1@kfx --nid 10.0.0.2@kfx,", -EINVAL, "no NID"},
      {"peer add --nid 10.0.0.1@kfx", -EINVAL, "--prim_nid is missing"},
      {"stats show --verbose", -EINVAL, "--verbose means nothing"},
      {"net\tshow", -EINVAL, "character 4 is not printable"},
      {"net show\x7f", -EINVAL, "character 9 is not printable"},
      {"net show \xff", -EINVAL, "character 10 is not printable"},
  };
  for (const auto& v : vectors) {
    const auto a = execute(l, v.line);
    INFO(v.line << "\n" << a.yaml);
    CHECK(a.status == v.status);
    CHECK(a.yaml.find(v.part) != a.yaml.npos);
  }
  CHECK(execute(l, std::string(5000, 'x')).yaml.find("longer than 4096") != std::string::npos);
  CHECK(execute(l, std::string("net show\0", 9)).status == -EINVAL);
  CHECK(shown(l, "export") == before);
}

TEST_CASE("texts are quoted where they could be taken for something else", "[commands]") {
  for (const char* text : {"eth0", "10.0.0.1@tcp", "0@lo", "up", "tcp1", "a-b_c/d.e", "Nothing"})
    CHECK(lnet::yaml::quoted(text) == text);
  const std::pair<std::string, std::string> vectors[] = {
      {"", "\"\""},          {"10", "\"10\""},     {"1e3", "\"1e3\""},
      {"yes", "\"yes\""},    {"NULL", "\"NULL\""}, {"a b", "\"a b\""},
      {"a: b", "\"a: b\""},  {"[0]", "\"[0]\""},   {"\"\\", "\"\\\"\\\\\""},
      {"a\n", "\"a\\x0a\""}, {"-", "\"-\""},       {"fe80::1", "\"fe80::1\""},
      {"\xc3", "\"\\xc3\""}, {"...", "\"...\""},   {"<?>", "\"<?>\""}};
  for (const auto& [text, expected] : vectors) CHECK(lnet::yaml::quoted(text) == expected);
}

TEST_CASE("a request survives being a line", "[commands][random]") {
  kfx_test::rng r(kfx_test::seed("request lines"));
  for (int i = 0; i < 3000; ++i) {
    const auto word = [&] {
      std::string w(1 + kfx_test::below(r, 12), 'x');
      for (char& c : w) c = static_cast<char>(0x21 + kfx_test::below(r, 0x5e));
      return w.starts_with("--") ? "x" + w : w;
    };
    lnet::request out, in;
    for (auto k = kfx_test::below(r, 4) + 1; k != 0; --k) out.words.push_back(word());
    for (auto k = kfx_test::below(r, 4); k != 0; --k) out.options["--" + word()] = word();
    if (i % 2 != 0) out.options["--verbose"];
    std::string line, why;
    REQUIRE(out.line(line, why));
    INFO(line);
    REQUIRE(lnet::request::parse(line, in, why));
    CHECK(in.words == out.words);
    CHECK(in.options == out.options);
  }
  std::string line, why;
  for (const char* bad : {"a b", "", "a\nb", "\xc3\xa4"}) {
    CHECK_FALSE(lnet::request{{"net", bad}}.line(line, why));
    CHECK_FALSE(lnet::request{{"net"}, {{"--if", bad}}}.line(line, why));
  }
  CHECK_FALSE(lnet::request{{std::string(5000, 'x')}}.line(line, why));
}
