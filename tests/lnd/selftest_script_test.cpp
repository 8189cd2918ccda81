// SPDX-License-Identifier: BSD-2-Clause
#include <catch2/catch.hpp>

#include "commands.hpp"
#include "console.hpp"
#include "nid_range.hpp"
#include "script.hpp"

using namespace lnet;
using namespace lnet::selftest;

namespace {

std::vector<statement> split(const std::string& text) {
  std::vector<statement> all;
  std::string why;
  INFO(text);
  const bool good = parse_script(text, all, why);
  INFO(why);
  REQUIRE(good);
  return all;
}

using words = std::vector<std::string>;

template <class Command>
Command read(const std::string& text) {
  const auto all = split(text);
  REQUIRE(all.size() == 1);
  std::string why;
  const auto c = parse_command(all[0].words, why);
  INFO(text << ": " << why);
  REQUIRE(c);
  REQUIRE(std::holds_alternative<Command>(*c));
  return std::get<Command>(*c);
}

void refused(const std::string& text, const std::string& with) {
  const auto all = split(text);
  REQUIRE(all.size() == 1);
  std::string why;
  const auto c = parse_command(all[0].words, why);
  INFO(text << ": " << why);
  CHECK_FALSE(c);
  CHECK(why.find(with) != std::string::npos);
}

}  // namespace

TEST_CASE("a script is statements of words") {
  const auto all = split(" a  b;c\n\n# nothing\nd e#f # g\n;;h 'i j' \"k \\\"l\" m\\ n\no \\\np");
  REQUIRE(all.size() == 5);
  CHECK(all[0].words == words{"a", "b"});
  CHECK(all[1].words == words{"c"});
  CHECK(all[2].words == words{"d", "e#f"});
  CHECK(all[3].words == words{"h", "i j", "k \"l", "m n"});
  CHECK(all[4].words == words{"o", "p"});
  CHECK(all[0].line == 1);
  CHECK(all[1].line == 1);
  CHECK(all[2].line == 4);
  CHECK(all[4].line == 6);
  CHECK(split("").empty());
  CHECK(split(" ; \n # x").empty());
  CHECK(split("a ''")[0].words == words{"a", ""});
}

TEST_CASE("a script that is not closed is refused") {
  std::vector<statement> all;
  std::string why;
  CHECK_FALSE(parse_script("a\nb 'c", all, why));
  CHECK(why.find("line 2") != std::string::npos);
  CHECK_FALSE(parse_script("a \"b\\", all, why));
  CHECK_FALSE(parse_script("a \\", all, why));
}

TEST_CASE("console commands are read") {
  const auto s = read<cmd::new_session>("new_session --timeout 60 --force bench");
  CHECK(s.name == "bench");
  CHECK(s.timeout_s == 60);
  CHECK(s.force);
  CHECK(read<cmd::new_session>("new_session x").timeout_s == 300);

  const auto g = read<cmd::add_group>("add_group servers 192.168.1.[2-4]@kfx 10.0.0.9@tcp1");
  REQUIRE(g.nids.size() == 4);
  CHECK(to_string(g.nids[2]) == "192.168.1.4@kfx");
  CHECK(to_string(g.nids[3]) == "10.0.0.9@tcp1");

  const auto t = read<cmd::add_test>(
      "add_test --batch b --loop 100 --concurrency 16 --distribute 2:1 --from c --to s brw write check=full size=1M "
      "off=16");
  CHECK(t.batch == "b");
  CHECK(t.loop == 100);
  CHECK(t.concurrency == 16);
  CHECK(t.clients == 2);
  CHECK(t.servers == 1);
  CHECK(t.from == "c");
  CHECK(t.to == "s");
  CHECK(t.operation == operation_kind::write);
  CHECK(t.check == check::full);
  CHECK(t.size == mtu);
  CHECK(t.offset == 16);
  const auto r = read<cmd::add_test>("add_test --from=c --to=s brw read check=simple size=4k");
  CHECK(r.batch == "batch");
  CHECK(r.loop == 0);
  CHECK(r.operation == operation_kind::read);
  CHECK(r.check == check::simple);
  CHECK(r.size == 4096);
  CHECK(read<cmd::add_test>("add_test --from c --to s ping").operation == operation_kind::ping);

  CHECK(read<cmd::run>("run").batch == "batch");
  CHECK(read<cmd::stop>("stop b").batch == "b");
  CHECK(read<cmd::wait>("wait --timeout 5 b").timeout_s == 5);
  CHECK(read<cmd::list_batch>("list_batch b --test").tests);
  CHECK(read<cmd::query>("query b").batch == "b");
  const auto st = read<cmd::stat>("stat --bw --mb --delay 0.5 --count 3 a b");
  CHECK(st.bandwidth);
  CHECK_FALSE(st.rate);
  CHECK(st.megabytes);
  CHECK(st.delay_s == 0.5);
  CHECK(st.count == 3);
  CHECK(st.groups == words{"a", "b"});
  CHECK(read<cmd::show_error>("show_error a b").groups == words{"a", "b"});
  CHECK(read<cmd::sleep>("sleep 2.5").seconds == 2.5);
  CHECK(read<cmd::ping>("ping --group a").group == "a");
  CHECK(read<cmd::list_group>("list_group").name.empty());
  CHECK(read<cmd::del_group>("del_group a").name == "a");
  read<cmd::end_session>("end_session");
  read<cmd::show_session>("show_session");
  CHECK(read<cmd::add_batch>("add_batch z").name == "z");
}

TEST_CASE("console commands that are wrong are refused with a reason") {
  refused("frobnicate", "no command frobnicate");
  refused("new_session", "wanted");
  refused("new_session a b", "wanted");
  refused("new_session --timeout 0 a", "--timeout 0");
  refused("new_session --timeout x a", "--timeout x");
  refused("new_session --timeout", "wants a value");
  refused("new_session --force=1 a", "no option");
  refused("new_session --speed 3 a", "no option --speed");
  refused("new_session --timeout 3 --timeout 4 a", "twice");
  refused("new_session " + std::string(max_name + 1, 'x'), "a name has");
  refused("new_session 'a b'", "a name has");
  refused("end_session now", "nothing behind it");
  refused("add_group g", "wanted");
  refused("add_group g 10.0.0.1", "no NID");
  refused("add_group g 10.0.0.[3-1]@tcp", "[2-5,9]");
  refused("add_group g '<?>'", "no NID");
  refused("add_test --from a --to b", "wanted");
  refused("add_test --from a --to b brw", "wanted");
  refused("add_test --from a --to b brw size=4K", "wanted");
  refused("add_test --from a --to b pong", "wanted");
  refused("add_test --from a --to b ping size=4K", "wanted");
  refused("add_test --from a ping", "--from GROUP");
  refused("add_test --from a --to b brw read size=2M", "1048576 at most");
  refused("add_test --from a --to b brw read size=0", "nothing to move");
  refused("add_test --from a --to b brw read size=4G", "bytes are wanted");
  refused("add_test --from a --to b brw read size=", "bytes are wanted");
  refused("add_test --from a --to b brw read off=4", "multiple of 8");
  refused("add_test --from a --to b brw read off=4096", "at most");
  refused("add_test --from a --to b brw read check=maybe", "none, simple or full");
  refused("add_test --from a --to b brw read fast", "brw knows no fast");
  refused("add_test --concurrency 0 --from a --to b ping", "--concurrency 0");
  refused("add_test --concurrency 99999 --from a --to b ping", "--concurrency 99999");
  refused("add_test --loop -1 --from a --to b ping", "--loop -1");
  refused("add_test --distribute 2 --from a --to b ping", "clients:servers");
  refused("add_test --distribute 0:1 --from a --to b ping", "--distribute 0");
  refused("stat", "wanted");
  refused("stat --delay 0 a", "0.01 s");
  refused("stat --delay -1 a", "seconds are wanted");
  refused("stat --delay 1e3 a", "seconds are wanted");
  refused("stat --count 0 a", "--count 0");
  refused("show_error", "wanted");
  refused("sleep", "wanted");
  refused("sleep soon", "seconds are wanted");
  refused("run a b", "BATCH");
  std::string why;
  CHECK_FALSE(parse_command({}, why));
}

TEST_CASE("NIDs with ranges are expanded in order") {
  std::vector<nid> all;
  std::string why;
  REQUIRE(expand_nids("10.[1,3].0.[7-8]@tcp2", all, why));
  words names;
  for (const nid& n : all) names.push_back(to_string(n));
  CHECK(names == words{"10.1.0.7@tcp2", "10.1.0.8@tcp2", "10.3.0.7@tcp2", "10.3.0.8@tcp2"});
  all.clear();
  REQUIRE(expand_nids("0@lo", all, why));
  CHECK(all == std::vector<nid>{nid::loopback()});
  for (const char* bad :
       {"10.0.0.[1-@tcp", "10.0.0.[]@tcp", "10.0.0.[1-2@tcp", "10.0.0.[a]@tcp", "10.0.0.[250-260]@tcp",
        "10.0.[0-255].[0-255]@tcp", "10.0.0.[0-4294967295]@tcp", "10.0.0.[4294967296]@tcp", "", "@tcp"}) {
    all.clear();
    why.clear();
    INFO(bad);
    CHECK_FALSE(expand_nids(bad, all, why));
    CHECK(all.empty());
    CHECK_FALSE(why.empty());
  }
}

TEST_CASE("clients share servers as they are told to") {
  const std::vector<nid> s = {{1, {kind_tcp, 0}}, {2, {kind_tcp, 0}}, {3, {kind_tcp, 0}}};
  const auto of = [&](std::size_t client, unsigned a, unsigned b) {
    std::vector<unsigned> numbers;
    for (const nid& n : servers_of(client, a, b, s)) numbers.push_back(n.address);
    return numbers;
  };
  using list = std::vector<unsigned>;
  for (unsigned client = 0; client < 7; ++client) CHECK(of(client, 1, 1) == list{client % 3 + 1});
  CHECK(of(0, 2, 1) == list{1});
  CHECK(of(1, 2, 1) == list{1});
  CHECK(of(2, 2, 1) == list{2});
  CHECK(of(5, 2, 1) == list{3});
  CHECK(of(6, 2, 1) == list{1});
  CHECK(of(0, 1, 2) == list{1, 2});
  CHECK(of(1, 1, 2) == list{3, 1});
  CHECK(of(0, 1, 5) == list{1, 2, 3});
  CHECK(of(4, 100, 3) == list{1, 2, 3});
}
