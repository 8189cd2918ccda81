// SPDX-License-Identifier: BSD-2-Clause
#include "uploads.hpp"

#include <sys/random.h>

#include <vector>

namespace store {

std::uint64_t uploads::add(const kfx::peer& owner, std::uint64_t size, shared_dir dir, std::string leaf) {
  {
    const std::lock_guard lock(mutex_);
    if (table_.size() >= limit_) fail(EMFILE, "too many uploads");
  }
  auto made = std::make_shared<upload>(owner, size, std::move(dir), std::move(leaf));
  std::uint64_t id = 0;
  const std::lock_guard lock(mutex_);
  do {
    check(::getrandom(&id, sizeof id, 0), "getrandom");
  } while (id == 0 || table_.contains(id));
  table_.emplace(id, std::move(made));
  return id;
}

std::shared_ptr<upload> uploads::find(std::uint64_t id, const kfx::peer& owner) {
  const std::lock_guard lock(mutex_);
  const auto at = table_.find(id);
  if (at == table_.end() || !(at->second->owner == owner)) fail(ESTALE, "no such upload");
  at->second->used = kfx::clock::now();
  return at->second;
}

std::shared_ptr<upload> uploads::take(std::uint64_t id, const kfx::peer& owner) {
  auto found = find(id, owner);
  drop(id);
  return found;
}

void uploads::drop(std::uint64_t id) {
  std::shared_ptr<upload> gone;  // dies after the lock: removing its file is disk work
  const std::lock_guard lock(mutex_);
  if (const auto at = table_.find(id); at != table_.end()) {
    gone = std::move(at->second);
    table_.erase(at);
  }
}

template <class Predicate>
void uploads::drop_if(Predicate stale) {
  std::vector<std::shared_ptr<upload>> gone;
  const std::lock_guard lock(mutex_);
  for (auto at = table_.begin(); at != table_.end();) {
    if (stale(*at->second)) {
      gone.push_back(std::move(at->second));
      at = table_.erase(at);
    } else {
      ++at;
    }
  }
}

void uploads::drop_all_of(const kfx::peer& owner) {
  drop_if([&](const upload& u) { return u.owner == owner; });
}

void uploads::drop_all() {
  drop_if([](const upload&) { return true; });
}

void uploads::reap(kfx::clock::duration disconnected, kfx::clock::duration forgotten) {
  const auto now = kfx::clock::now();
  drop_if([&](const upload& u) {
    return now - u.used > forgotten || (now - u.used > disconnected && !u.owner.connected());
  });
}

}  // namespace store
