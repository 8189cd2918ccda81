// SPDX-License-Identifier: BSD-2-Clause
#include "waiting.hpp"

#include <string_view>

#include <kfx/options.hpp>

namespace store {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view limit_key = "limit=";

/// Calls `f` with each key=value of the URI's query.
template <class F>
void each_pair(std::string_view uri, F f) {
  const std::size_t mark = uri.find('?');
  if (mark == uri.npos) return;
  std::string_view rest = uri.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    f(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace

std::chrono::milliseconds limit_of(const std::string& uri) {
  kfx::options o;
  if (auto set = kfx::options::from_environment(o)) o = *set;
  each_pair(uri, [&o](std::string_view pair) {
    if (pair.starts_with(limit_key)) (void)o.set("limit", std::string(pair.substr(limit_key.size())));
  });
  return o.limit;
}

std::string with_limit(const std::string& uri, unsigned seconds) {
  std::string result = uri.substr(0, uri.find('?')) + "?" + std::string(limit_key) + std::to_string(seconds) + "s";
  each_pair(uri, [&result](std::string_view pair) {
    if (!pair.starts_with(limit_key)) (result += '&') += pair;
  });
  return result;
}

waiting::waiting(kfx::peer peer, std::chrono::milliseconds limit, tell t)
    : peer_(std::move(peer)), limit_(limit), tell_(std::move(t)), thread_([this] { watch(); }) {}

waiting::~waiting() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void waiting::watch() {
  auto since = kfx::clock::now();
  std::uint64_t seen = 0;
  bool told = false;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, 200ms, [this] { return over_; })) {
    const std::uint64_t answered = answered_.load(std::memory_order_relaxed);
    const bool idle = asked_.load(std::memory_order_relaxed) == answered;
    if (idle || answered != seen || peer_.connected()) {
      seen = answered;
      since = kfx::clock::now();
      told = false;
    } else if (!told && kfx::clock::now() - since >= 1500ms) {
      // Soon enough to be read within two seconds.
      told = true;
      const auto seconds = std::to_string((limit_.count() + 999) / 1000);
      tell_("waiting for " + peer_.explain() + " (gives up after " + seconds + " s; Ctrl-C stops)");
    }
  }
}

}  // namespace store
