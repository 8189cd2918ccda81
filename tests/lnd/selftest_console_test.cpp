// SPDX-License-Identifier: BSD-2-Clause
// Consoles and the nodes of their sessions.
#include "selftest_fixture.hpp"

using namespace lnd_test;

namespace {

std::string nid_text(unsigned n) { return to_string(number(n)); }

/// Node 1 has the console; 2 to 5 are tested.
struct cluster {
  explicit cluster(unsigned nodes = 4) : desk(make_node(net, 1)) {
    for (unsigned n = 2; n < 2 + nodes; ++n) all.push_back(make_node(net, n));
  }
  ~cluster() {
    all.clear();
    desk.reset();
    check_debts(net);
  }
  node& at(unsigned n) { return *all[n - 2]; }

  fake_net net{2};
  std::unique_ptr<node> desk;
  std::vector<std::unique_ptr<node>> all;
};

}  // namespace

TEST_CASE("a console runs pings and brws between groups") {
  cluster c;
  told_console con(*c.desk);
  REQUIRE(
      con.run("new_session --timeout 60 t\n"
              "add_group clients 10.0.0.[2-3]@tcp\n"
              "add_group servers 10.0.0.[4-5]@tcp\n"
              "add_batch b\n"
              "add_test --batch b --loop 100 --concurrency 4 --from clients --to servers ping\n"
              "add_test --batch b --loop 5 --concurrency 16 --from clients --to servers brw read check=full size=1M\n"
              "add_test --batch b --loop 5 --concurrency 2 --distribute 1:2 --from clients --to servers "
              "brw write check=full size=64K off=8\n"
              "ping; list_group; list_batch b --test; show_session") == "");
  for (unsigned n = 2; n <= 5; ++n) CHECK(c.at(n).session().name == "t");
  CHECK(c.desk->session().stamp == 0);
  con.output();
  REQUIRE(con.run("run b; wait b; query b") == "");
  const std::string results = con.output();
  INFO(results);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < results.size();) {
    const auto end = results.find('\n', at);
    lines.push_back(results.substr(at, end - at));
    at = end + 1;
  }
  REQUIRE(lines.size() == 3);
  CHECK(figure(lines[0], "rpcs") == 2 * 100 * 4);
  CHECK(figure(lines[1], "rpcs") == 2 * 5 * 16);
  CHECK(figure(lines[1], "bytes") == 2.0 * 5 * 16 * mtu);
  CHECK(figure(lines[2], "rpcs") == 2 * 2 * 5 * 2);
  for (const std::string& l : lines) {
    CHECK(figure(l, "errors") == 0);
    CHECK(figure(l, "active") == 0);
    CHECK(figure(l, "seconds") > 0);
    CHECK(figure(l, "rpc_per_s") > 0);
  }
  // 1:1: each client has its server; the counts of both sides are equal.
  for (unsigned n = 2; n <= 3; ++n) {
    CHECK(c.at(n).statistics().rpcs_sent == 100 * 4 + 5 * 16 + 2 * 5 * 2);
    CHECK(c.at(n + 2).statistics().rpcs_received == c.at(n).statistics().rpcs_sent);
    CHECK(c.at(n + 2).statistics().bytes_sent == c.at(n).statistics().bytes_received);
    CHECK(c.at(n + 2).statistics().bytes_received == c.at(n).statistics().bytes_sent);
  }
  (*con).summary();
  CHECK(con.output().find("\"summary\":\"t\"") != std::string::npos);
  REQUIRE(con.run("run b; wait b; end_session") == "");
  for (unsigned n = 2; n <= 5; ++n) CHECK(c.at(n).session().stamp == 0);
}

TEST_CASE("a console's statistics agree on both sides") {
  cluster c(2);
  told_console con(*c.desk);
  REQUIRE(con.run("new_session t; add_group c 10.0.0.2@tcp; add_group s 10.0.0.3@tcp\n"
                  "add_test --concurrency 4 --from c --to s brw write check=simple size=4K\n"
                  "stat --delay 0.01 --count 1 c s\n") == "");
  CHECK(figure(con.output(), "rpcs_sent") == 0);
  REQUIRE(con.run("run") == "");
  REQUIRE(until([&] { return c.at(2).statistics().rpcs_completed > 100; }));
  REQUIRE(con.run("stat --delay 0.05 --count 2 c") == "");
  const std::string some = con.output();
  INFO(some);
  CHECK(std::count(some.begin(), some.end(), '\n') == 2);
  CHECK(figure(some, "rpcs_sent") > 0);
  CHECK(figure(some, "bytes_sent") > 0);
  CHECK(figure(some, "errors") == 0);
  REQUIRE(con.run("stop; query; stat --delay 0.01 --count 1 c; show_error c s") == "");
  const auto asked = c.at(2).statistics(), served = c.at(3).statistics();
  CHECK(asked.rpcs_sent == served.rpcs_received);
  CHECK(asked.rpcs_completed == asked.rpcs_sent);
  CHECK(asked.bytes_sent == served.bytes_received);
  CHECK(asked.bytes_sent == asked.rpcs_completed * 4096);
  const std::string rest = con.output();
  CHECK(figure(rest, "rpcs") == static_cast<double>(asked.rpcs_completed));
  CHECK(rest.find("\"errors_of\":\"10.0.0.3@tcp\",\"errors\":0") != std::string::npos);
}

TEST_CASE("tables for people have what is wanted") {
  cluster c(2);
  told_console con(*c.desk, false);
  REQUIRE(con.run("new_session t; add_group c 10.0.0.2@tcp; add_group s 10.0.0.3@tcp\n"
                  "add_test --loop 10 --from c --to s brw read check=full size=4K; run; wait\n"
                  "stat --delay 0.01 --count 1 c s") == "");
  std::string text = con.output();
  INFO(text);
  for (const char* word : {"RPC/s in", "RPC/s out", "MiB/s in", "MiB/s out", "avg", "min", "max", "errors 0", "sent ",
                           "received ", "dropped ", "expired "}) {
    CHECK(text.find(word) != std::string::npos);
  }
  REQUIRE(con.run("stat --bw --mb --delay 0.01 --count 1 c") == "");
  text = con.output();
  CHECK(text.find("MB/s in") != std::string::npos);
  CHECK(text.find("RPC/s") == std::string::npos);
  REQUIRE(con.run("query; show_error c; show_session; ping; list_group c; list_batch") == "");
  text = con.output();
  CHECK(text.find("10 RPCs") != std::string::npos);
  CHECK(text.find("brw read size=4096 check=full") != std::string::npos);
  CHECK(text.find("10.0.0.2@tcp: 0 RPCs failed") != std::string::npos);
}

TEST_CASE("commands that cannot be carried out say why") {
  cluster c(2);
  told_console con(*c.desk);
  for (const char* text : {"end_session", "show_session", "add_group g 10.0.0.2@tcp", "ping", "run", "stat g"}) {
    CHECK(con.run(text).find("there is no session") != std::string::npos);
  }
  REQUIRE(con.run("new_session t; add_group g 10.0.0.2@tcp") == "");
  CHECK(con.run("new_session u").find("session t goes on") != std::string::npos);
  CHECK(con.run("add_group h 10.0.0.99@tcp").find("10.0.0.99@tcp") != std::string::npos);
  CHECK(con.run("list_group h").find("no group h") != std::string::npos);
  CHECK(con.run("add_batch b; add_batch b").find("a batch b already") != std::string::npos);
  CHECK(con.run("run b").find("has no tests") != std::string::npos);
  CHECK(con.run("run z").find("no batch z") != std::string::npos);
  CHECK(con.run("stop z").find("no batch z") != std::string::npos);
  CHECK(con.run("add_test --batch z --from g --to g ping").find("no batch z") != std::string::npos);
  CHECK(con.run("add_test --from g --to x ping").find("no group x") != std::string::npos);
  CHECK(con.run("stat x").find("no group x") != std::string::npos);
  CHECK(con.run("show_error x").find("no group x") != std::string::npos);
  CHECK(con.run("del_group x").find("no group x") != std::string::npos);
  REQUIRE(con.run("add_test --batch b --from g --to g ping; run b") == "");
  CHECK(con.run("run b").find("failed") != std::string::npos);
  CHECK(con.run("wait --timeout 1 b").find("still runs") != std::string::npos);
  REQUIRE(con.run("stop b; run b; stop b; del_group g; add_group g 10.0.0.[2-3]@tcp; end_session") == "");
  CHECK(con.run("query b").find("there is no session") != std::string::npos);
}

TEST_CASE("a node belongs to one session at a time, unless it is forced") {
  cluster c(2);
  told_console first(*c.desk), second(c.at(3));
  REQUIRE(first.run("new_session one; add_group g 10.0.0.2@tcp; add_test --from g --to g ping; run") == "");
  const auto refused = (second.run("new_session two; add_group g 10.0.0.2@tcp"));
  CHECK(refused.find("it is in session one of " + nid_text(1)) != std::string::npos);
  CHECK(c.at(2).session().name == "one");
  REQUIRE(second.run("end_session; new_session --force two; add_group g 10.0.0.2@tcp") == "");
  CHECK(c.at(2).session().name == "two");
  CHECK(c.at(2).session().running == 0);
  CHECK(first.run("query").find("another session") != std::string::npos);
  CHECK(first.run("stop").find("another session") != std::string::npos);
  CHECK(first.run("ping").find("another session") != std::string::npos);
  REQUIRE(first.run("end_session") == "");  // not that of the other
  CHECK(c.at(2).session().name == "two");
  REQUIRE(second.run("end_session") == "");
  CHECK(c.at(2).session().stamp == 0);
}

TEST_CASE("only who has the key of a session is obeyed") {
  cluster c(1);
  asker ask(*c.desk);
  const session_id mine{number(1), 5, 6};
  const auto status_of = [&](kind k, session_id who, const auto& body) {
    return ask.ask_all({number(2)}, k, who, body, std::chrono::milliseconds(10000)).at(0).status;
  };
  CHECK(status_of(kind::leave, mine, empty_body{}) == -ESRCH);
  CHECK(status_of(kind::join, {}, join_request{10, false, "a"}) == -EPROTO);
  REQUIRE(status_of(kind::join, mine, join_request{10, false, "a"}) == 0);
  for (session_id other : {session_id{number(1), 5, 7}, session_id{number(3), 5, 6}, session_id{number(1), 4, 6}}) {
    CHECK(status_of(kind::leave, other, empty_body{}) == -EPERM);
    CHECK(status_of(kind::statistics, other, empty_body{}) == -EPERM);
    CHECK(status_of(kind::run_batch, other, batch_request{1}) == -EPERM);
    CHECK(status_of(kind::join, other, join_request{10, false, "a"}) == -EBUSY);
    CHECK(status_of(kind::status, other, empty_body{}) == 0);
  }
  CHECK(status_of(kind::run_batch, mine, batch_request{1}) == -ENOENT);
  CHECK(status_of(kind::query_batch, mine, batch_request{1}) == -ENOENT);
  CHECK(status_of(kind::leave, mine, ping_body{1}) == -EPROTO);
  CHECK(status_of(kind::leave, mine, empty_body{}) == 0);
}

TEST_CASE("a session ends on a node whose console is not heard of") {
  cluster c(2);
  told_console con(*c.desk);
  REQUIRE(con.run("new_session --timeout 2 t; add_group g 10.0.0.2@tcp; add_group s 10.0.0.3@tcp\n"
                  "add_test --from g --to s ping") == "");
  // The console says that it lives: longer than the timeout nothing ends.
  const auto heard = std::chrono::steady_clock::now() + std::chrono::milliseconds(2500);
  REQUIRE(until([&] { return c.at(2).session().stamp == 0 || std::chrono::steady_clock::now() > heard; }));
  REQUIRE(con.run("run") == "");
  c.net.set_judge([](const ni& n, const header& h) {
    return n.nid == number(1) && h.portal == control_portal ? fate{.what = fate::lose} : fate{};
  });
  REQUIRE(until([&] { return c.at(2).session().stamp == 0 && c.at(3).session().stamp == 0; }));
  CHECK(c.at(2).session().running == 0);
  const auto sent = [&] { return c.at(2).statistics().rpcs_sent; };
  std::uint64_t last = 0;
  REQUIRE(until([&] { return std::exchange(last, sent()) == sent(); }));
  // It is free for another.
  c.net.set_judge({});
  told_console other(c.at(3));
  CHECK(other.run("new_session u; add_group g 10.0.0.2@tcp") == "");
}

TEST_CASE("a node that is started anew is taken back into the session") {
  cluster c(2);
  told_console con(*c.desk);
  REQUIRE(con.run("new_session --timeout 2 t; add_group c 10.0.0.2@tcp; add_group s 10.0.0.3@tcp\n"
                  "add_test --rpc-timeout 1 --concurrency 4 --from c --to s brw read check=full size=4K; run") == "");
  REQUIRE(until([&] { return c.at(2).statistics().rpcs_completed > 50; }));
  c.all[1].reset();
  REQUIRE(until([&] { return c.at(2).statistics().errors >= 8; }));
  CHECK(c.at(2).session().running == 1);
  CHECK(con.run("show_error c s") == "");
  CHECK(con.output().find("\"errors_of\":\"10.0.0.3@tcp\",\"silent\":true") != std::string::npos);
  c.all[1] = make_node(c.net, 3);
  REQUIRE(until([&] { return c.at(3).session().name == "t"; }));
  REQUIRE(until([&] { return c.at(3).statistics().rpcs_received > 50; }));
  REQUIRE(until([&] { return !con.notes().empty(); }));
  CHECK(con.notes().find("10.0.0.3@tcp was started anew") != std::string::npos);
  REQUIRE(con.run("stop; query; ping; end_session") == "");
  CHECK(figure(con.output(), "corrupt") == 0);
}

TEST_CASE("what a console does can be interrupted") {
  cluster c(1);
  told_console con(*c.desk);
  REQUIRE(con.run("new_session t; add_group g 10.0.0.2@tcp; add_test --from g --to g ping; run") == "");
  std::thread stopper([&] { (*con).interrupt(); });
  CHECK(con.run("stat --delay 50 g") == "");  // ends by itself
  stopper.join();
  CHECK_FALSE((*con).interrupted());
  (*con).interrupt();
  CHECK(con.run("sleep 50").find("interrupted") != std::string::npos);
  CHECK((*con).interrupted());
}
