// SPDX-License-Identifier: BSD-2-Clause
// What op::explain() says: it blamed the present link, and in the middle of that one's description; it sent people who
// could not connect to look whether the peer hangs; and it left out names and numbers.

#include <array>
#include <catch2/catch.hpp>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "memory_server.hpp"

using namespace std::chrono_literals;
using namespace kfx;
using Catch::Contains;

namespace {

/// How it ended, and what it says of it.
template <class T>
std::string failed(op<T>&& o, errc expected) {
  (void)o.complete(20s);
  REQUIRE(o.ready());
  REQUIRE(o.result().has_error());
  CHECK(o.result().error() == expected);
  return o.explain();
}

const std::vector<std::byte> bytes(5000);
const_buffer some(std::size_t n) { return const_buffer(bytes).first(n); }

}  // namespace

TEST_CASE("a failure is told before the transport") {
  memory_server m(64);
  const std::string said = failed(m.peer.open("nothing"), errc::not_found);
  INFO(said);
  CHECK(said.find(" failed: ") < said.find(" over tcp "));
  CHECK_THAT(said, Contains("open of \"nothing\" at " + m.peer.uri()));
}

TEST_CASE("names are told as far as there is room") {
  memory_server m(64);
  const std::string name(100, 'n');
  CHECK_THAT(failed(m.peer.open(name), errc::not_found), Contains("\"nnnnnnnnnnnnnnnn") && Contains("n...\""));
  CHECK_THAT(failed(m.peer.open(std::string(300, 'n')), errc::bad_option), Contains("255 bytes") && Contains("300"));
  CHECK_THAT(failed(m.peer.open(""), errc::not_found), Contains("open of \"\""));
}

TEST_CASE("an option of another verb is named") {
  memory_server m(64);
  const remote_region remote = m.open();
  std::array<std::byte, 8> reply{};
  CHECK_THAT(failed(m.peer.send(some(8), {}, {.notify = 1}), errc::bad_option), Contains(".notify"));
  CHECK_THAT(failed(m.peer.write(some(8), remote, {.reply = reply}), errc::bad_option), Contains(".reply"));
  CHECK_THAT(failed(m.peer.open("memory", {.last = false}), errc::bad_option), Contains(".last"));
  CHECK_THAT(failed(m.peer.write(some(8), remote, {.last = false}), errc::bad_option), Contains("offer"));
  CHECK_THAT(failed(m.peer.reject(remote, errc::rejected), errc::bad_option), Contains("only offers"));
  CHECK_THAT(failed(m.peer.offer(mutable_buffer(reply), access::read, {.notify = 1}), errc::bad_option),
             Contains(".notify"));
}

TEST_CASE("numbers are told where numbers are wrong") {
  memory_server m(64);
  const remote_region remote = m.open();
  CHECK_THAT(failed(m.peer.write(some(100), remote), errc::out_of_bounds), Contains("100 bytes") && Contains("has 64"));
  CHECK_THAT(failed(m.peer.write(some(10), remote.at(3, 9)), errc::out_of_bounds), Contains("has 9"));
  auto f = remote.raw();
  f.length = 1000;
  CHECK_THAT(failed(m.peer.write(some(90), remote_region(f).at(10)), errc::out_of_bounds),
             Contains("90 bytes at offset 10"));
  CHECK_THAT(failed(m.peer.send(some(4097)), errc::header_too_long), Contains("4097 bytes"));
  const std::vector<const_buffer> list(300, some(1));
  CHECK_THAT(failed(m.peer.write(list, remote), errc::too_many_fragments), Contains("has 300"));
  CHECK_THAT(failed(m.peer.write(some(7), remote.at(1), {.write8 = true}), errc::misaligned),
             Contains("7 bytes at offset 1"));
  std::promise<std::string> replied;
  m.server.on_message([&](message msg) { replied.set_value(msg.reply(some(5000), some(1)).explain()); });
  std::array<std::byte, 8> reply{};
  (void)failed(m.peer.send(some(8), {}, {.reply = reply}), errc::header_too_long);
  auto said = replied.get_future();
  REQUIRE(said.wait_for(20s) == std::future_status::ready);
  CHECK_THAT(said.get(), Contains("reply to") && Contains("5000 bytes"));
}

TEST_CASE("who cannot be reached is not said to hang") {
  std::string nobody;
  {
    node gone({.listen = {"tcp://127.0.0.1:0"}});
    nobody = gone.addresses().front();
  }
  node client;
  const peer p = client.at(nobody);
  auto o = p.send(some(8), {}, {.deadline = 300ms});
  const std::string said = failed(std::move(o), errc::unreachable);
  INFO(said);
  CHECK_THAT(said, Contains("refused") && Contains("listens there") && !Contains("hang"));
}

TEST_CASE("an op under way says with whom, over what, or why it waits") {
  memory_server m(64);
  message kept;
  m.server.on_message([&](message msg) { kept = std::move(msg); });
  auto sent = m.peer.send(some(8));
  CHECK_FALSE(sent.complete(50ms).has_value());
  CHECK_THAT(sent.explain(), Contains("send to " + m.peer.uri() + " is under way: connected over tcp"));
  auto next = m.peer.send(some(8), {}, {.after = sent.id()});
  CHECK_THAT(next.explain(), Contains(".after"));

  node client;
  auto nobody = client.at("loop://sentences-nobody").open("x");
  for (const auto end = clock::now() + 20s;
       nobody.explain().find("no node listens") == std::string::npos && clock::now() < end;)
    std::this_thread::sleep_for(1ms);
  CHECK_THAT(nobody.explain(), Contains("is under way: not connected yet") && Contains("no node listens"));
}

TEST_CASE("what was lost with a session names the connection of that session") {
  const auto serve = [](const std::string& at) {
    auto n = std::make_unique<node>(options{.listen = {at}, .name = "phoenix"});
    n->on_message([](message) {});
    return n;
  };
  // Under way, because nobody answers it.
  std::vector<message> kept;
  std::optional<node> first(options{.listen = {"tcp://127.0.0.1:0"}, .name = "phoenix"});
  first->on_message([&](message msg) { kept.push_back(std::move(msg)); });
  const std::string address = first->addresses().front();
  node client;
  const peer p = client.at(address);
  auto lost = p.send(some(8));
  CHECK_FALSE(lost.complete(100ms).has_value());
  const std::string before = p.explain();
  const std::string link = before.substr(before.find("tcp 127"), before.find(" (") - before.find("tcp 127"));
  first.reset();
  const auto second = serve(address);
  const std::string said = failed(std::move(lost), errc::peer_restarted);
  p.send(some(8)).complete(20s).value();
  INFO(before << "\n" << said << "\n" << p.explain());
  REQUIRE_THAT(before, Contains(link));
  CHECK_THAT(p.explain(), !Contains(link));
  CHECK_THAT(said, Contains(link));
}
