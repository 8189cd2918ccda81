// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Which regions are published under which names.

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "kfx/remote_region.hpp"

namespace kfx::node_detail {

/// Any thread; holds its lock for a lookup and calls nobody.
class names {
 public:
  void set(std::string_view name, const remote_region& token) {
    std::lock_guard lock(mutex_);
    map_.insert_or_assign(std::string(name), token);
  }
  void erase(std::string_view name) {
    std::lock_guard lock(mutex_);
    if (auto found = map_.find(name); found != map_.end()) map_.erase(found);
  }
  /// Every name of that region.
  void erase_key(std::uint64_t key) {
    std::lock_guard lock(mutex_);
    std::erase_if(map_, [key](const auto& entry) { return entry.second.raw().key == key; });
  }
  /// Empty when there is none.
  remote_region find(std::string_view name) const {
    std::lock_guard lock(mutex_);
    const auto found = map_.find(name);
    return found == map_.end() ? remote_region() : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, remote_region, std::less<>> map_;
};

}  // namespace kfx::node_detail
