// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Walking lists of spans: the gather and scatter side of a copy.

#include <algorithm>
#include <cstring>
#include <span>

#include "kfx/types.hpp"

namespace kfx::base {

/// A position in a list of spans. The list belongs to the caller.
template <class Buffer>
class cursor {
 public:
  cursor() = default;
  explicit cursor(std::span<const Buffer> list) : list_(list) {}

  /// The next contiguous bytes, `at_most` of them; empty at the end of the list.
  Buffer next(std::size_t at_most) {
    while (!list_.empty() && done_ == list_.front().size()) {
      list_ = list_.subspan(1);
      done_ = 0;
    }
    if (list_.empty()) return {};
    const Buffer piece = list_.front().subspan(done_, std::min(at_most, list_.front().size() - done_));
    done_ += piece.size();
    return piece;
  }
  void skip(std::size_t bytes) {
    while (bytes > 0) {
      const std::size_t passed = next(bytes).size();
      if (passed == 0) return;
      bytes -= passed;
    }
  }

 private:
  std::span<const Buffer> list_{};
  std::size_t done_ = 0;
};

/// Moves `from` on by `bytes` and copies what `to` has room for; the rest is passed over. Overlapping memory is
/// allowed: both ends of a loopback link may name the same bytes.
inline void copy(cursor<const_buffer>& from, cursor<mutable_buffer>& to, std::size_t bytes) {
  while (bytes > 0) {
    const const_buffer source = from.next(bytes);
    if (source.empty()) return;
    bytes -= source.size();
    for (std::size_t done = 0; done < source.size();) {
      const mutable_buffer sink = to.next(source.size() - done);
      if (sink.empty()) break;
      std::memmove(sink.data(), source.data() + done, sink.size());
      done += sink.size();
    }
  }
}

template <class Buffer>
std::size_t total(std::span<const Buffer> list) {
  std::size_t bytes = 0;
  for (const Buffer& b : list) bytes += b.size();
  return bytes;
}

}  // namespace kfx::base
