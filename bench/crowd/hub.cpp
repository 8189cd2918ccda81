// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "proc.hpp"
#include "roles.hpp"

namespace bench::crowd {

kfx::options quiet_options(std::chrono::milliseconds keepalive, kfx::progress mode, const std::string& listen) {
  kfx::options o;
  if (!listen.empty()) o.listen = {listen};
  o.progress = mode;
  o.keepalive = keepalive;
  o.limit = std::max(o.limit, keepalive);  // the limit is looked after as often as it wants, too
  o.idle = std::chrono::milliseconds(0);
  return o;
}

void be_hub(line& l, std::chrono::milliseconds keepalive, kfx::progress mode, const std::string& listen) {
  static const std::array<std::byte, body_bytes> body{};
  std::atomic<std::uint64_t> messages{0}, ups{0}, downs{0};
  kfx::node node(quiet_options(keepalive, mode, listen));
  node.on_message([&](kfx::message m) {
    ++messages;
    if (m.wants_reply()) m.reply({}, kfx::const_buffer(body)).detach();
  });
  node.on_peer([&](const kfx::peer&, kfx::peer_event e) { ++(e == kfx::peer_event::up ? ups : downs); });
  std::thread runner;
  if (mode == kfx::progress::caller) runner = std::thread([&] { node.run(); });
  obey(l, [&](const std::string& command) -> std::string {
    if (command == "address") return node.addresses().front();
    if (command == "counts") return fmt::format("{} {} {}", messages.load(), ups.load(), downs.load());
    if (command == "shared") return fmt::format("{}", shared_memory_touched());
    throw std::runtime_error("no such command: " + command);
  });
  node.stop();
  if (runner.joinable()) runner.join();
}

}  // namespace bench::crowd
