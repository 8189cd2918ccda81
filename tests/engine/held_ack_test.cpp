// SPDX-License-Identifier: BSD-2-Clause
// Acks that a poll leaves to what the program is likely to ask for next.
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// A node that answers from its program, after a poll, and one that asks.
struct talk {
  std::uint64_t heard = 0;
  peer asker;
  node answering;
  node asking{{.progress = progress::caller}};
  peer there;

  explicit talk(const std::string& at) : answering({.listen = {at}, .progress = progress::caller}) {
    answering.on_message([this](message m) {
      asker = m.from();
      ++heard;
    });
    asking.on_message([](message) {});
    there = asking.at(answering.addresses().front() + (at.starts_with("loop") ? "?direct=off" : ""));
  }
  /// The question's op; the answering node has polled just until it heard it.
  op<done> ask() {
    static constexpr std::array<std::byte, 8> header{};
    auto o = there.send(header);
    const auto want = heard + 1;
    const auto end = clock::now() + 20s;
    while (heard != want && clock::now() < end) {
      asking.poll();
      if (heard != want) answering.poll();
    }
    REQUIRE(heard == want);
    return o;
  }
  void answer() const {
    static constexpr std::array<std::byte, 8> header{};
    asker.send(header).detach();
  }
};

}  // namespace

TEST_CASE("an ack does not wait for a program that does not come back") {
  const std::string own = std::to_string(::getpid());
  const auto at =
      GENERATE_COPY(values<std::string>({"loop://held-ack-" + own, "shm://held-ack-" + own, "tcp://127.0.0.1:0"}));
  INFO(at);
  talk t(at);
  const auto ends = [&](op<done>& o, bool help) {
    // The engine promises 10 ms; keepalive would bring it some day as well.
    const auto end = clock::now() + (help ? 20s : 2s);
    while (!o.ready() && clock::now() < end) {
      t.asking.poll();
      if (help) t.answering.poll();
    }
    return o.ready() && o.result().has_value();
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {  // from now on an answer is to be expected
      auto o = t.ask();
      t.answer();
      REQUIRE(ends(o, true));
    }
    auto last = t.ask();
    CHECK(ends(last, false));
  }
}
