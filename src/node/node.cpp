// SPDX-License-Identifier: BSD-2-Clause
#include "kfx/node.hpp"

#include "node/node_state.hpp"

namespace kfx {

namespace detail {
void on_message(node_state& n, message_handler h) { n.on_message(std::move(h)); }
void on_notify(node_state& n, notify_handler h) { n.on_notify(std::move(h)); }
void on_peer(node_state& n, peer_handler h) { n.on_peer(std::move(h)); }

namespace {
std::shared_ptr<node_state> make_node(options o) {
  std::string why;
  auto filled = options::from_environment(std::move(o), &why);
  if (!filled) throw error(filled.error(), why);
  auto n = std::make_shared<node_state>(*std::move(filled));
  try {
    n->open();
  } catch (...) {
    n->shut_down();
    throw;
  }
  return n;
}
}  // namespace
}  // namespace detail

node::node(options o) : s_(detail::make_node(std::move(o))) {}

node::node(node&&) noexcept = default;

node& node::operator=(node&& o) noexcept {
  if (this != &o) {
    if (s_) s_->shut_down();
    s_ = std::move(o.s_);
  }
  return *this;
}

node::~node() {
  if (s_) s_->shut_down();
}

peer node::at(std::string_view uri) { return peer(s_->at(uri)); }

region node::share(mutable_buffer memory, access rights) { return region(s_->share(memory, rights)); }

region node::share(const_buffer memory) {
  // Nobody is allowed to write: the rights say so, and every way to the memory checks them.
  return share(mutable_buffer(const_cast<std::byte*>(memory.data()), memory.size()), access::read);
}

buffer node::allocate(std::size_t bytes, const placement& where) { return s_->allocate(bytes, where); }

void node::publish(std::string_view name, const region& r) { s_->publish(name, r.token()); }
void node::unpublish(std::string_view name) { s_->unpublish(name); }

std::size_t node::poll() { return s_->poll(); }
void node::run() { s_->run(clock::time_point::max()); }
void node::run_for(clock::duration d) { s_->run(clock::now() + d); }
void node::stop() { s_->stop(); }
int node::fd() const { return s_->fd(); }

void node::listen(std::string_view uri) { s_->listen(std::string(uri)); }
std::vector<std::string> node::addresses() const { return s_->addresses(); }
std::string node::id() const { return s_->id(); }
std::string node::explain() const { return s_->explain(); }

}  // namespace kfx
