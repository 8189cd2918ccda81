// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A ring of chunks between two parties that map each other's memory, and trust none of it. The ring's bytes are
/// written by one side alone, and how far they were read is written by the other side alone, so either may see
/// the other's words through a read-only mapping (shared memory), or have its own written by it (a bridge).

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "kfx/types.hpp"

namespace kfx::wire {

/// What a ring is laid out in: a cache line.
inline constexpr std::size_t ring_line = 64;

enum class chunk_kind : std::uint32_t {
  none,    ///< nothing was published here yet
  wrap,    ///< the next chunk is at the ring's beginning
  frames,  ///< whole frames, back to back
  body,    ///< a piece of the body of the frame that was announced last
};
inline constexpr std::uint32_t last_chunk_kind = 3;

/// The first word of a chunk: how many bytes follow it, and their kind. 0: none yet.
constexpr std::uint64_t ring_word(chunk_kind k, std::size_t bytes) noexcept {
  return std::uint64_t{bytes} << 32 | static_cast<std::uint32_t>(k);
}
constexpr chunk_kind kind_of(std::uint64_t word) noexcept {
  const auto k = static_cast<std::uint32_t>(word);
  return k <= last_chunk_kind ? static_cast<chunk_kind>(k) : chunk_kind::none;
}
constexpr std::size_t bytes_of(std::uint64_t word) noexcept { return static_cast<std::size_t>(word >> 32); }

constexpr std::size_t whole_lines(std::size_t bytes) noexcept { return (bytes + ring_line - 1) & ~(ring_line - 1); }

/// The reader tells how far it is so many bytes at a time at the latest, so that a writer that waits need not wait for
/// the end of a long poll.
constexpr std::size_t told_after(std::size_t capacity) noexcept { return capacity / 16; }

/// The sending side. A chunk begins at a line; its first word is stored last, so that the reader, which looks at that
/// word alone, needs one line's journey for a small chunk.
///
/// Memory order, or why nothing stale is taken for a chunk: the line behind a chunk begins with a zero that was stored
/// after the reader gave the line back (acquire of `freed`) and before the chunk was published (release). The reader
/// looks at a line only after it took the chunk before it (acquire), so it sees that zero or what was published since.
/// At the ring's beginning it looks only after it found a wrap (acquire), which is published after the chunk that is
/// there, or after the zero. What the bytes between are does not matter. Positions grow for ever and never need the two
/// to agree on a lap.
///
/// While the reader keeps up, the writer begins anew after three sixteenths of the ring: what few bytes need then stays
/// in the near caches, and the rest of the ring's pages are never touched. It does so behind a chunk before which
/// everything was read, and not in the middle of a burst, because what it skips is lost until the reader has skipped
/// it.
///
/// The ring's memory is never read. `Sync` supplies the words and, for write-combining memory, the fence.
template <class Sync>
class basic_ring_writer {
 public:
  /// `ring` is all zero, a power of two and at least 8 lines (4 for chunks of one); `freed` is the reader's.
  basic_ring_writer(std::span<std::byte> ring, const typename Sync::count& freed) noexcept
      : basic_ring_writer(ring, freed, ring.size() >= 64 * ring_line ? ring.size() / 16 * 3 : ring.size()) {}
  /// `short_lap`: how far it goes before it begins anew, when it may.
  basic_ring_writer(std::span<std::byte> ring, const typename Sync::count& freed, std::size_t short_lap) noexcept
      : ring_(ring.data()),
        capacity_(ring.size()),
        short_lap_(short_lap),
        freed_(freed),
        limit_(ring.size()),
        zeroed_(ring.size()) {}

  /// The longest chunk that is sure to find room once the reader has caught up: it, and a gap as long before the ring's
  /// end, fit beside what the reader may not have told of.
  std::size_t max_chunk() const noexcept { return capacity_ / 8 * 3 - sizeof(std::uint64_t); }

  /// The longest chunk that `reserve_near` is sure to find room for once the reader has caught up.
  std::size_t max_near() const noexcept {
    return has_laps() ? short_lap_ - told_after(capacity_) - 2 * ring_line : max_chunk();
  }
  /// Space for a chunk of so many bytes that does not lead beyond the short lap: for a long row of chunks, which would
  /// otherwise fill the ring, and gain nothing. Empty: the reader has not caught up, or `broken`.
  std::span<std::byte> reserve_near(std::size_t bytes) noexcept {
    if (!has_laps() || offset(tail_) < short_lap_) return reserve(bytes, bytes);
    (void)take_back();
    const std::size_t need = whole_lines(sizeof(std::uint64_t) + bytes);
    const std::size_t to_end = capacity_ - offset(tail_);
    const std::size_t free = static_cast<std::size_t>(limit_ - tail_) - ring_line;
    if (free < to_end + need) return {};
    start_ = tail_ + to_end;
    return window(free - to_end, bytes);
  }

  /// Space for a chunk of at least so many bytes and at most so many more as are at hand. Empty: no room, or `broken`.
  std::span<std::byte> reserve(std::size_t at_least, std::size_t at_most) noexcept {
    const std::size_t need = whole_lines(sizeof(std::uint64_t) + at_least);
    // One line stays free: the one at which the reader looks for what comes next.
    const std::size_t free = static_cast<std::size_t>(limit_ - tail_) - ring_line;
    const std::size_t room = std::min(free, capacity_ - offset(tail_));
    if (room < need) [[unlikely]]
      return look_further(need, at_most);
    start_ = tail_;
    return window(room, at_most);
  }

  /// The first `bytes` (1 at least) of the last reservation are a chunk.
  void publish(chunk_kind k, std::size_t bytes) noexcept {
    const std::uint64_t next = start_ + whole_lines(sizeof(std::uint64_t) + bytes);
    if (zeroed_ <= next) zero(next);
    Sync::wrote(at(start_) + sizeof(std::uint64_t), bytes);
    Sync::fence();
    Sync::store(at(start_), ring_word(k, bytes));
    if (start_ != tail_) [[unlikely]] {
      Sync::fence();
      Sync::store(at(tail_), ring_word(chunk_kind::wrap, 0));
    }
    const std::uint64_t began = std::exchange(start_, next);
    tail_ = next;
    if (offset(next) >= short_lap_ && next >= look_at_) [[unlikely]]
      begin_anew(began);
    // Ahead of need: the next chunk's word would wait until its zero has the line.
    const std::uint64_t ahead = std::min(limit_, tail_ + lines_ahead * ring_line);
    for (unsigned i = 0; i < 2 && zeroed_ < ahead; ++i) zero(zeroed_);
  }

  /// Everything published was read, as far as this side knows; looks if need be.
  bool drained() noexcept { return limit_ - tail_ == capacity_ || (take_back(), limit_ - tail_ == capacity_); }
  /// The reader's count made no sense: this ring cannot go on.
  bool broken() const noexcept { return broken_; }

 private:
  static constexpr std::uint64_t lines_ahead = 8;

  std::size_t offset(std::uint64_t position) const noexcept {
    return static_cast<std::size_t>(position) & (capacity_ - 1);
  }
  std::byte* at(std::uint64_t position) const noexcept { return ring_ + offset(position); }
  bool has_laps() const noexcept { return short_lap_ < capacity_; }
  std::span<std::byte> window(std::size_t room, std::size_t at_most) const noexcept {
    return {at(start_) + sizeof(std::uint64_t), std::min(room - sizeof(std::uint64_t), at_most)};
  }
  /// The lines from the next chunk's to this one begin with zeroes.
  void zero(std::uint64_t position) noexcept {
    Sync::clear(at(position));
    zeroed_ = position + ring_line;
  }

  /// Behind a chunk, when all that was published before it is known to be read.
  [[gnu::noinline]] void begin_anew(std::uint64_t chunk) noexcept {
    look_at_ = tail_ + told_after(capacity_);  // where there is much to read, a look costs a line's journey
    (void)take_back();
    const std::uint64_t lap = tail_ + capacity_ - offset(tail_);
    if (limit_ - capacity_ != chunk || limit_ <= lap) return;
    if (zeroed_ <= lap) zero(lap);
    Sync::fence();
    Sync::store(at(tail_), ring_word(chunk_kind::wrap, 0));
    tail_ = start_ = look_at_ = lap;
  }

  /// At the ring's beginning, and in what the reader gave back meanwhile.
  [[gnu::noinline]] std::span<std::byte> look_further(std::size_t need, std::size_t at_most) noexcept {
    do {
      const std::size_t free = static_cast<std::size_t>(limit_ - tail_) - ring_line;
      const std::size_t to_end = capacity_ - offset(tail_);
      start_ = tail_;
      std::size_t room = std::min(free, to_end);
      if (room < need) {
        start_ = tail_ + to_end;
        room = free > to_end ? free - to_end : 0;
      }
      if (room >= need) return window(room, at_most);
    } while (take_back());
    start_ = tail_;
    return {};
  }

  /// Takes over what the reader gave back. False: nothing.
  bool take_back() noexcept {
    const std::uint64_t end = Sync::load(freed_) + capacity_;
    if (end == limit_ || broken_) return false;
    // Neither backwards, nor beyond what was written, nor between lines.
    if (end - limit_ > tail_ + capacity_ - limit_ || end % ring_line != 0) {
      broken_ = true;
      return false;
    }
    limit_ = end;
    return true;
  }

  std::byte* const ring_;
  const std::size_t capacity_;
  const std::size_t short_lap_;
  const typename Sync::count& freed_;
  std::uint64_t tail_ = 0;     ///< where the next chunk begins, or the wrap before it
  std::uint64_t start_ = 0;    ///< where the last reservation begins
  std::uint64_t limit_;        ///< the end of what may be written
  std::uint64_t zeroed_;       ///< the lines from `tail_` to this one begin with zeroes
  std::uint64_t look_at_ = 0;  ///< before this, it is not asked again whether the reader keeps up
  bool broken_ = false;
};

/// The receiving side. What it is given may change under its eyes: a chunk's word is read once, the bytes are for the
/// caller to read once.
template <class Sync>
class basic_ring_reader {
 public:
  struct chunk {
    chunk_kind kind;
    const_buffer bytes;
  };

  basic_ring_reader(const_buffer ring, typename Sync::count& freed) noexcept
      : ring_(ring.data()), capacity_(ring.size()), freed_(freed) {}

  /// The oldest chunk; it stays until `pop`. Nothing: none is there, or `broken`; then `give_back` is due, because a
  /// wrap may have been skipped.
  std::optional<chunk> front() noexcept {
    std::uint64_t word = Sync::load(at(head_));
    if (word == 0) return std::nullopt;
    if (kind_of(word) == chunk_kind::wrap && !wrapped(word)) return std::nullopt;
    const std::size_t bytes = bytes_of(word);
    const bool sound = kind_of(word) != chunk_kind::none && kind_of(word) != chunk_kind::wrap && bytes != 0 &&
                       bytes <= capacity_ - offset(head_) - sizeof word;
    if (!sound) return refuse();
    size_ = whole_lines(sizeof word + bytes);
    const const_buffer found{at(head_) + sizeof word, bytes};
    Sync::reads(found.data(), bytes);
    return chunk{kind_of(word), found};
  }

  /// The last `front` is not needed any more. True: the writer was told now.
  bool pop() noexcept {
    head_ += std::exchange(size_, 0);
    return head_ - given_ >= told_after(capacity_) && give_back();
  }
  /// Tells the writer at once. True: there was something to tell.
  bool give_back() noexcept {
    if (given_ == head_) return false;
    Sync::store(freed_, given_ = head_);
    return true;
  }
  bool empty() const noexcept { return Sync::load(at(head_)) == 0; }
  /// What was found made no sense: this ring cannot go on.
  bool broken() const noexcept { return broken_; }

 private:
  std::size_t offset(std::uint64_t position) const noexcept {
    return static_cast<std::size_t>(position) & (capacity_ - 1);
  }
  const std::byte* at(std::uint64_t position) const noexcept { return ring_ + offset(position); }
  /// Goes on at the ring's beginning. False: nothing is there yet, or `broken`.
  [[gnu::noinline]] bool wrapped(std::uint64_t& word) noexcept {
    const std::size_t to_end = capacity_ - offset(head_);
    broken_ = broken_ || to_end == capacity_;  // where nobody would have a reason to wrap
    if (broken_) return false;
    head_ += to_end;
    word = Sync::load(at(head_));
    return word != 0;
  }
  std::nullopt_t refuse() noexcept {
    broken_ = true;
    return std::nullopt;
  }

  const std::byte* const ring_;
  const std::size_t capacity_;
  typename Sync::count& freed_;
  std::uint64_t head_ = 0;
  std::uint64_t given_ = 0;
  std::size_t size_ = 0;  ///< of the front, in the ring
  bool broken_ = false;
};

}  // namespace kfx::wire
