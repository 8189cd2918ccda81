// SPDX-License-Identifier: BSD-2-Clause
// The smallest useful backend outside the tree: twin://name is loop://name, counted. docs/backend-guide.md quotes it.
#include <atomic>
#include <kfx/backend/backend.hpp>
#include <memory>
#include <string>
#include <utility>

namespace {

namespace be = kfx::backend;

std::atomic<unsigned> links{0};

be::uri renamed(be::uri at, const char* scheme) {
  at.scheme = scheme;
  return at;
}

class twin_listener final : public be::listener {
 public:
  explicit twin_listener(std::unique_ptr<be::listener> inner) : inner_(std::move(inner)) {}
  std::string address() const override {
    return renamed(be::uri::parse(inner_->address()).value(), "twin").to_string();
  }

 private:
  std::unique_ptr<be::listener> inner_;
};

class twin_backend final : public be::backend {
 public:
  std::string_view name() const noexcept override { return "twin"; }
  int rank() const noexcept override { return 1; }
  bool available(std::string* why) const override {
    if (be::find_backend("loop")) return true;
    if (why) *why = "twin:// stands on loop://, which this build of kfx lacks; build it with -Dbackends=loopback";
    return false;
  }

  void connect(be::context& c, const be::uri& to, be::on_connected done) override {
    ++links;
    be::find_backend("loop")->connect(c, renamed(to, "loop"), std::move(done));
  }

  std::variant<std::unique_ptr<be::listener>, be::failure> listen(be::context& c, const be::uri& at,
                                                                  be::on_accepted accepted) override {
    auto inner = be::find_backend("loop")->listen(c, renamed(at, "loop"), [accepted](be::channel link) {
      ++links;
      accepted(std::move(link));
    });
    if (auto* failed = std::get_if<be::failure>(&inner)) return std::move(*failed);
    return std::make_unique<twin_listener>(std::get<0>(std::move(inner)));
  }

  // Only who names it gets it: kfx:// does not move up to a twin.
  std::string offer(be::context&) override { return {}; }
  std::variant<be::uri, be::failure> reach(be::context&, const peer_identity&, std::string_view) override {
    return be::failure{kfx::errc::unreachable, "twin: is used by name only"};
  }
};

}  // namespace

extern "C" be::backend* kfx_backend_create(unsigned abi) {
  return abi == be::abi_version ? std::make_unique<twin_backend>().release() : nullptr;
}

// For the test: both ends of each link that was made.
extern "C" unsigned twin_links() { return links; }
