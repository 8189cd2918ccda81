// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Names objects by numbers that are never given twice. The caller has the lock.

#include <cstdint>
#include <vector>

namespace lnet {

template <class T>
class handle_table {
 public:
  std::uint64_t add(T& object) {
    if (free_.empty()) {
      slots_.push_back({1, nullptr});
      free_.push_back(slots_.size() - 1);
    }
    const std::uint64_t index = free_.back();
    free_.pop_back();
    slots_[index].object = &object;
    return slots_[index].generation << index_bits | index;
  }
  /// Null: it never was, or is gone.
  T* find(std::uint64_t cookie) const noexcept {
    const std::uint64_t index = cookie & ((std::uint64_t{1} << index_bits) - 1);
    if (index >= slots_.size() || slots_[index].generation != cookie >> index_bits) return nullptr;
    return slots_[index].object;
  }
  void remove(std::uint64_t cookie) {
    if (!find(cookie)) return;
    const std::uint64_t index = cookie & ((std::uint64_t{1} << index_bits) - 1);
    slots_[index].object = nullptr;
    ++slots_[index].generation;
    // One that has run out of generations rests for ever.
    if (slots_[index].generation < last_generation) free_.push_back(index);
  }
  std::vector<T*> all() const {
    std::vector<T*> list;
    for (const slot& s : slots_)
      if (s.object) list.push_back(s.object);
    return list;
  }

 private:
  static constexpr unsigned index_bits = 24;
  static constexpr std::uint64_t last_generation = (std::uint64_t{1} << (64 - index_bits)) - 1;
  struct slot {
    std::uint64_t generation;
    T* object;
  };
  std::vector<slot> slots_;
  std::vector<std::uint64_t> free_;
};

}  // namespace lnet
