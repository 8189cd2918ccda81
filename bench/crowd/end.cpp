// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <atomic>
#include <deque>
#include <histogram.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <units.hpp>

#include "roles.hpp"

namespace bench::crowd {
namespace {

using namespace std::chrono_literals;

constexpr char ping[8] = {'p'};
constexpr char quit[8] = {'q'};
/// Round trips between two looks at the clock: what interrupts one of these is no median.
constexpr unsigned chunk = 8;

/// A node that plays with one other.
class player {
 public:
  player(kfx::progress mode, const std::string& listen);
  std::string address() const { return node_.addresses().front(); }
  void join(const std::string& uri) { other_ = node_.at(uri); }
  void serve();
  double measure(double seconds);
  /// Progress for a while, in progress::caller.
  void rest() {
    if (mode_ == kfx::progress::caller) node_.run_for(1ms);
  }

 private:
  void pong(const kfx::peer& from);
  void until_over();

  const kfx::progress mode_;
  kfx::node node_;
  kfx::peer other_;
  bool measuring_ = false;
  std::atomic<bool> over_{false};
  tool::histogram chunks_;
  kfx::clock::time_point begun_{}, until_{};
  unsigned in_chunk_ = 0;
};

player::player(kfx::progress mode, const std::string& listen)
    : mode_(mode), node_(quiet_options(kfx::options().keepalive, mode, listen)) {
  node_.on_message([this](kfx::message m) {
    const char kind = static_cast<char>(m.header()[0]);
    if (kind == 'p' && measuring_)
      pong(m.from());
    else if (kind == 'p')
      m.from().send(ping).detach();
    else if (kind == 'q')
      over_.store(true, std::memory_order_release);
  });
}

void player::pong(const kfx::peer& from) {
  if (++in_chunk_ == chunk) {
    in_chunk_ = 0;
    const auto now = kfx::clock::now();
    chunks_.record(static_cast<std::uint64_t>((now - begun_).count()));
    begun_ = now;
    if (now >= until_) return over_.store(true, std::memory_order_release);
  }
  from.send(ping).detach();
}

void player::until_over() {
  while (!over_.load(std::memory_order_acquire)) {
    if (mode_ == kfx::progress::caller)
      node_.poll();
    else
      std::this_thread::sleep_for(1ms);
  }
}

void player::serve() {
  until_over();
  over_ = false;  // now, not at the beginning: by then the other side may have had enough already
  // The last answers leave before this process is asked for something else.
  for (int i = 0; i < 1000 && mode_ == kfx::progress::caller; ++i) node_.poll();
}

double player::measure(double seconds) {
  chunks_.clear();
  in_chunk_ = 0;
  begun_ = kfx::clock::now();
  until_ = begun_ + std::chrono::duration_cast<kfx::clock::duration>(std::chrono::duration<double>(seconds));
  measuring_ = true;
  other_.send(ping).detach();
  until_over();
  over_ = false;
  measuring_ = false;
  other_.send(quit).complete().value();
  return static_cast<double>(chunks_.quantile(0.5)) / chunk / 2;
}

}  // namespace

void be_end(line& l, int cpu, kfx::progress mode, const std::string& listen) {
  tool::pin(cpu);
  std::deque<player> players;
  players.emplace_back(mode, listen);
  players.emplace_back(mode, listen);
  l.say("+");
  for (;;) {
    for (player& p : players) p.rest();
    if (mode == kfx::progress::caller && !l.ready()) continue;
    const auto command = l.hear();
    if (!command) return;
    answer(l, *command, [&](const std::string& text) -> std::string {
      std::istringstream words(text);
      std::string verb, uri;
      std::size_t which = 0;
      double seconds = 0;
      words >> verb >> which;
      player& p = players.at(which);
      if (verb == "address") return p.address();
      if (verb == "serve") return p.serve(), "";
      if (verb == "join" && words >> uri) return p.join(uri), "";
      if (verb == "measure" && words >> seconds) return fmt::format("{}", p.measure(seconds));
      throw std::runtime_error("no such command: " + text);
    });
  }
}

}  // namespace bench::crowd
