// SPDX-License-Identifier: BSD-2-Clause
#include "uploads.hpp"

#include <sys/random.h>

#include <vector>

namespace store {

upload::upload(kfx::peer from, std::uint64_t bytes, shared_dir dir, std::string leaf)
    : owner(std::move(from)), size(bytes), part(dir, leaf), leaf_(std::move(leaf)) {
  check(::fstat(dir->get(), &dir_), "fstat");
}

upload::moving::moving(upload& u, kfx::op<kfx::done>& op) : upload_(u), op_(op) {
  const std::lock_guard lock(u.mutex_);
  u.ops_.push_back(&op);
  if (u.given_up_) op.cancel();
}

upload::moving::~moving() {
  const std::lock_guard lock(upload_.mutex_);
  std::erase(upload_.ops_, &op_);
}

void upload::give_up(int why) {
  const std::lock_guard lock(mutex_);
  if (given_up_) return;
  given_up_ = why;
  for (kfx::op<kfx::done>* op : ops_) op->cancel();
}

void upload::still_wanted() {
  const std::lock_guard lock(mutex_);
  if (given_up_) fail(given_up_, "given up");
}

bool upload::becomes(const struct stat& dir, std::string_view leaf) const noexcept {
  return dir.st_dev == dir_.st_dev && dir.st_ino == dir_.st_ino && (leaf.empty() || leaf == leaf_);
}

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
  remove(id);
  return found;
}

std::shared_ptr<upload> uploads::remove(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto at = table_.find(id);
  if (at == table_.end()) return {};
  auto gone = std::move(at->second);
  table_.erase(at);
  return gone;  // dies without the lock: removing its file is disk work
}

void uploads::drop(std::uint64_t id, int why) {
  if (const auto gone = remove(id)) gone->give_up(why);
}

template <class Predicate>
void uploads::drop_if(Predicate stale) {
  std::vector<std::shared_ptr<upload>> gone;
  {
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
  for (const auto& u : gone) u->give_up(ESTALE);
}

void uploads::supersede(int dir, std::string_view leaf) {
  struct stat st {};
  if (::fstat(dir, &st) != 0) return;
  drop_if([&](const upload& u) { return !u.owner.connected() && u.becomes(st, leaf); });
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
