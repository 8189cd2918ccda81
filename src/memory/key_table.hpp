// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Random 64-bit keys to pointers: open addressing, linear probing, no allocation in steady state. Keys are random,
/// so their low bits are the hash.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kfx::memory {

template <class Value>
class key_table {
 public:
  Value* find(std::uint64_t key) noexcept {
    if (cells_.empty() || key == 0) return nullptr;
    for (std::size_t i = key & mask();; i = (i + 1) & mask()) {
      if (cells_[i].key == key) return &cells_[i].value;
      if (cells_[i].key == 0) return nullptr;
    }
  }
  void insert(std::uint64_t key, Value v) {
    if ((count_ + 1) * 2 > cells_.size()) grow();
    std::size_t i = key & mask();
    while (cells_[i].key != 0 && cells_[i].key != key) i = (i + 1) & mask();
    count_ += cells_[i].key == 0;
    cells_[i] = {key, std::move(v)};
  }
  void erase(std::uint64_t key) noexcept {
    Value* v = find(key);
    if (!v) return;
    std::size_t hole = index_of(v);
    // Close the gap: whatever probed past it moves up.
    for (std::size_t i = (hole + 1) & mask(); cells_[i].key != 0; i = (i + 1) & mask()) {
      const std::size_t home = cells_[i].key & mask();
      if (((i - home) & mask()) >= ((i - hole) & mask())) {
        cells_[hole] = std::move(cells_[i]);
        hole = i;
      }
    }
    cells_[hole] = {};
    --count_;
  }
  template <class F>
  void each(F f) {
    for (auto& c : cells_)
      if (c.key) f(c.key, c.value);
  }
  std::size_t size() const noexcept { return count_; }

 private:
  struct cell {
    std::uint64_t key = 0;
    Value value{};
  };
  std::size_t mask() const noexcept { return cells_.size() - 1; }
  std::size_t index_of(Value* v) noexcept {
    return static_cast<std::size_t>(reinterpret_cast<cell*>(reinterpret_cast<char*>(v) - offsetof(cell, value)) -
                                    cells_.data());
  }
  void grow() {
    std::vector<cell> old = std::move(cells_);
    cells_ = std::vector<cell>(old.empty() ? 16 : old.size() * 2);
    count_ = 0;
    for (auto& c : old)
      if (c.key) insert(c.key, std::move(c.value));
  }
  std::vector<cell> cells_;
  std::size_t count_ = 0;
};

}  // namespace kfx::memory
