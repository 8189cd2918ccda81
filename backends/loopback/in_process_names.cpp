// SPDX-License-Identifier: BSD-2-Clause
#include "backends/loopback/in_process_names.hpp"

#include <boost/asio/post.hpp>

namespace kfx::loopback {
namespace {

std::string shown(const backend::uri& at) { return at.scheme + "://" + name_in(at); }

}  // namespace

std::string name_in(const backend::uri& at) {
  std::string name = at.host;
  if (!at.port.empty()) name += ':' + at.port;
  if (!at.path.empty()) name += '/' + at.path;
  return name;
}

class in_process_names::in_process_listener final : public backend::listener {
 public:
  in_process_listener(std::shared_ptr<state> names, std::shared_ptr<acceptor> self)
      : names_(std::move(names)), self_(std::move(self)) {}
  ~in_process_listener() override {
    {
      // `meet` posts under this lock, so afterwards nobody reaches for the io context any more.
      const std::lock_guard guard(names_->lock);
      names_->names.erase(name_in(self_->at));
    }
    self_->open = false;
    self_->accepted = nullptr;
  }
  std::string address() const override { return self_->at.to_string(); }

 private:
  std::shared_ptr<state> names_;
  std::shared_ptr<acceptor> self_;
};

std::variant<std::unique_ptr<backend::listener>, backend::failure> in_process_names::listen(
    backend::context& ctx, const backend::uri& at, backend::on_accepted accepted) {
  const std::string name = name_in(at);
  if (name.empty())
    return backend::failure{errc::bad_uri, "cannot listen at " + shown(at) +
                                               ": it has no name; write one, for example " + at.scheme + "://store"};
  auto self = std::make_shared<acceptor>(acceptor{ctx.io, at, std::move(accepted)});
  const std::lock_guard guard(state_->lock);
  if (!state_->names.emplace(name, self).second)
    return backend::failure{errc::address_in_use, "cannot listen at " + shown(at) +
                                                      ": another node of this process does; choose another name"};
  return std::make_unique<in_process_listener>(state_, std::move(self));
}

void in_process_names::connect(backend::context& ctx, const backend::uri& at, backend::on_connected connected,
                               const make_links& make) {
  boost::asio::post(ctx.io, [connected = std::move(connected), outcome = meet(at, make)]() mutable {
    connected(std::move(outcome));
  });
}

std::variant<backend::channel, backend::failure> in_process_names::meet(const backend::uri& at,
                                                                        const make_links& make) {
  const std::lock_guard guard(state_->lock);
  const auto found = state_->names.find(name_in(at));
  if (found == state_->names.end())
    return backend::failure{errc::unreachable, "no node listens at " + shown(at) +
                                                   " in this process; start the one that does first, or name it by "
                                                   "the address it listens at in its own process"};
  const std::shared_ptr<acceptor>& other = found->second;
  auto made = make(name_in(at), at, other->at);
  if (auto* why = std::get_if<backend::failure>(&made)) return std::move(*why);
  auto& [connecting, accepting] = std::get<link_ends>(made);
  boost::asio::post(other->io, [other, end = std::move(accepting)]() mutable {
    // A listener that went away meanwhile drops its end, and the other end sees a closed link.
    if (!other->open) return;
    // A copy: the callback may destroy the listener, and with it the function that is running.
    const auto accepted = other->accepted;
    accepted(backend::channel(std::move(end)));
  });
  return backend::channel(std::move(connecting));
}

}  // namespace kfx::loopback
