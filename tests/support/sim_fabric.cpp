// SPDX-License-Identifier: BSD-2-Clause
#include "support/sim_fabric.hpp"

#include <algorithm>

#include "support/faults.hpp"

namespace kfx::test {
namespace {

/// Fabrics on which puts outlive their initiator.
struct leftovers {
  std::mutex lock;
  std::vector<std::weak_ptr<sim_fabric>> list;

  static leftovers& instance() {
    static leftovers& all = *new leftovers;
    return all;
  }
};

}  // namespace

result<backend::direct_key> sim_fabric::share(unsigned end, std::span<const mutable_buffer> memory, access rights) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  const auto inner = s.exports.share(memory, rights);
  if (!inner) return inner;
  backend::direct_key key = 0;
  do key = static_cast<backend::direct_key>(random_());
  while (key == 0 || !s.used.insert(key).second);
  s.keys[key] = *inner;
  return key;
}

void sim_fabric::withdraw(unsigned end, backend::direct_key key) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  const auto found = s.keys.find(key);
  if (found == s.keys.end()) return;
  std::erase_if(s.arriving, [&](const placement& p) {
    if (p.key != key) return false;
    if (random_() % 2) {
      const const_buffer data(p.data);
      s.exports.put(found->second, p.offset, std::span(&data, 1));
    } else {
      ++faults::counts().dropped_puts;
      s.lost.insert(p.id);
    }
    return true;
  });
  s.exports.withdraw(found->second);
  s.keys.erase(found);
}

/// 0, which no table knows, for keys that are not shared.
backend::direct_key sim_fabric::known(side& s, backend::direct_key key) const {
  const auto found = s.keys.find(key);
  return found == s.keys.end() ? 0 : found->second;
}

std::error_code sim_fabric::put(unsigned end, placement p) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  if (const auto error = s.exports.check(known(s, p.key), p.offset, p.data.size(), access::write)) return error;
  s.arriving.push_back(std::move(p));
  return {};
}

void sim_fabric::place_front(side& s) {
  const placement& p = s.arriving.front();
  const const_buffer data(p.data);
  s.exports.put(known(s, p.key), p.offset, std::span(&data, 1));
  s.arriving.pop_front();
}

std::error_code sim_fabric::get(unsigned end, backend::direct_key key, std::uint64_t offset,
                                std::span<const mutable_buffer> into) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  while (!s.arriving.empty()) place_front(s);
  return s.exports.get(known(s, key), offset, into);
}

std::error_code sim_fabric::flush(unsigned end, backend::cookie id) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  if (s.fenced) return std::make_error_code(std::errc::connection_reset);
  while (!s.arriving.empty()) place_front(s);
  return s.lost.erase(id) != 0 ? make_error_code(errc::stale_region) : std::error_code();
}

void sim_fabric::place_some(unsigned end, std::size_t most) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  for (; most > 0 && !s.arriving.empty(); --most) {
    if (s.abandoned) ++faults::counts().stale_puts;
    place_front(s);
  }
}

bool sim_fabric::on_the_way(unsigned end) {
  const std::lock_guard guard(lock_);
  return !sides_[end].arriving.empty();
}

void sim_fabric::abandon(unsigned end) {
  {
    const std::lock_guard guard(lock_);
    sides_[end].abandoned = true;
    if (sides_[end].arriving.empty()) return;
  }
  leftovers& all = leftovers::instance();
  const std::lock_guard guard(all.lock);
  std::erase_if(all.list, [](const auto& weak) { return weak.expired(); });
  all.list.push_back(weak_from_this());
}

void sim_fabric::fence(unsigned end) {
  const std::lock_guard guard(lock_);
  side& s = sides_[end];
  if (s.fenced) return;
  for (; !s.arriving.empty();) {
    if (random_() % 2) {
      place_front(s);
    } else {
      s.arriving.pop_front();
      ++faults::counts().dropped_puts;
    }
  }
  s.fenced = true;
  s.keys.clear();
  s.exports.detach();
}

void sim_fabric::drift(std::mt19937_64& random) {
  std::shared_ptr<sim_fabric> one;
  {
    leftovers& all = leftovers::instance();
    const std::lock_guard guard(all.lock);
    if (all.list.empty()) return;
    const std::size_t which = random() % all.list.size();
    one = all.list[which].lock();
    if (!one || (!one->on_the_way(0) && !one->on_the_way(1))) {
      all.list.erase(all.list.begin() + static_cast<std::ptrdiff_t>(which));
      return;
    }
  }
  for (unsigned end : {0u, 1u}) one->place_some(end, 1);
}

}  // namespace kfx::test
