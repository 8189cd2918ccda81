// SPDX-License-Identifier: BSD-2-Clause
// A host's name that stops resolving while its host is away ended what waited for it at once, whatever the limit: a
// reboot or a hiccup of the name service was not survived.

#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <thread>

#include "kfx/backend/backend.hpp"
#include "kfx/kfx.hpp"

using namespace std::chrono_literals;
using namespace kfx;
namespace be = kfx::backend;

namespace {

std::atomic<bool> known{true};
std::atomic<int> asked_in_vain{0};

be::uri renamed(be::uri at, const char* scheme) {
  at.scheme = scheme;
  return at;
}

class named_listener final : public be::listener {
 public:
  explicit named_listener(std::unique_ptr<be::listener> inner) : inner_(std::move(inner)) {}
  std::string address() const override {
    return renamed(be::uri::parse(inner_->address()).value(), "named").to_string();
  }

 private:
  std::unique_ptr<be::listener> inner_;
};

/// named://x is loop://x, as long as names are known.
class named_backend final : public be::backend {
 public:
  std::string_view name() const noexcept override { return "named"; }
  int rank() const noexcept override { return 0; }
  bool available(std::string*) const override { return true; }
  void connect(be::context& ctx, const be::uri& to, be::on_connected done) override {
    if (known) return be::find_backend("loop")->connect(ctx, renamed(to, "loop"), std::move(done));
    ++asked_in_vain;
    boost::asio::post(ctx.io, [done = std::move(done)] {
      done(be::failure{errc::unreachable, "the name does not resolve", true});
    });
  }
  std::variant<std::unique_ptr<be::listener>, be::failure> listen(be::context& ctx, const be::uri& at,
                                                                  be::on_accepted accepted) override {
    auto made = be::find_backend("loop")->listen(ctx, renamed(at, "loop"), std::move(accepted));
    if (auto* bad = std::get_if<be::failure>(&made)) return std::move(*bad);
    return std::make_unique<named_listener>(std::get<0>(std::move(made)));
  }
  std::string offer(be::context&) override { return {}; }
  std::variant<be::uri, be::failure> reach(be::context&, const peer_identity&, std::string_view) override {
    return be::failure{errc::unreachable, "named: is used by name only"};
  }
};

void have_backend() {
  static const bool once = be::register_backend(std::make_unique<named_backend>());
  REQUIRE(once);
}

bool wait_for(const auto& condition) {
  for (const auto end = clock::now() + 20s; clock::now() < end; std::this_thread::sleep_for(1ms))
    if (condition()) return true;
  return false;
}

}  // namespace

TEST_CASE("a peer whose name stops resolving is waited for") {
  have_backend();
  known = true;
  const options server{.listen = {"named://host"}, .name = "host"};
  std::optional<node> life(server);
  life->on_message([](message) {});
  node client;
  const peer p = client.at("named://host");
  const std::array<std::byte, 8> header{};
  p.send(header).complete(20s).value();

  known = false;
  life.reset();
  REQUIRE(wait_for([&] { return !p.connected(); }));
  auto waiting = p.send(header);
  const int before = asked_in_vain;
  REQUIRE(wait_for([&] { return asked_in_vain >= before + 5 || waiting.ready(); }));
  CHECK_FALSE(waiting.ready());

  life.emplace(server);
  life->on_message([](message) {});
  known = true;
  (void)waiting.complete(20s);
  INFO(waiting.explain());
  REQUIRE(waiting.ready());
  // Submitted towards the former life or this one, which nobody can tell.
  CHECK((waiting.result().has_value() || waiting.result().error() == errc::peer_restarted));
  CHECK(p.send(header).complete(20s).has_value());
}

TEST_CASE("a name that nobody ever had is told at once") {
  have_backend();
  known = false;
  node client;
  auto o = client.at("named://nobody").open("x");
  (void)o.complete(20s);
  REQUIRE(o.ready());
  CHECK(o.result().error() == errc::unreachable);
  CHECK(o.explain().find("does not resolve") != std::string::npos);
}
