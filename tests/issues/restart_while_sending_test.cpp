// SPDX-License-Identifier: BSD-2-Clause
// A peer restarts while it fetches the payload of a message. The session's end answered the fetch, and that answer went
// to the new incarnation, which had asked nothing: it closed the session, and the next operation failed.

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <vector>

#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;

namespace {

/// A node that fetches what messages bring.
struct fetcher {
  std::vector<std::byte> into = std::vector<std::byte>(32 << 20);
  int messages = 0;
  message kept;
  op<done> fetching;
  node n{{.listen = {"loop://fetcher"}, .name = "fetcher", .progress = progress::caller}};

  fetcher() {
    n.on_message([this](message m) {
      ++messages;
      if (m.payload_size() == 0) return;
      fetching = m.receive(into);
      kept = std::move(m);
    });
  }
};

}  // namespace

TEST_CASE("what a peer asked before it restarted is not answered to its next incarnation") {
  node client({.progress = progress::caller});
  auto life = std::make_unique<fetcher>();
  const auto drive = [&](const auto& until) {
    for (const auto give_up = clock::now() + 10s; !until() && clock::now() < give_up; client.poll()) life->n.poll();
  };
  const peer p = client.at("loop://fetcher?direct=off");
  const std::array<std::byte, 8> header{};
  const std::vector<std::byte> payload(life->into.size());
  auto fetched = p.send(header, payload);
  drive([&] { return life->messages == 1; });
  // The request to fetch arrives; the wire cannot hold all that is asked for.
  for (int i = 0; i < 100; ++i) client.poll();

  life = nullptr;
  life = std::make_unique<fetcher>();
  drive([&] { return fetched.ready(); });
  REQUIRE(fetched.ready());
  CHECK(fetched.result().error() == errc::peer_restarted);

  auto next = p.send(header);
  drive([&] { return next.ready(); });
  INFO(next.explain());
  REQUIRE(next.ready());
  CHECK(next.result().has_value());
  CHECK(life->messages == 1);
}
