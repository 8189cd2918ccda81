// SPDX-License-Identifier: BSD-2-Clause
#include "wire/stream_rx.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kfx/error.hpp"
#include "wire/frame.hpp"

namespace kfx::wire {
namespace {

constexpr std::size_t pieces_a_recv = 64;  // what byte_stream::recv takes

}  // namespace

void stream_rx::rest() noexcept {
  if (begin_ == end_) drop();
}

void stream_rx::drop() noexcept {
  begin_ = end_ = 0;
  release_chunk(std::exchange(buffer_, nullptr));
}

/// Hands over what the buffer holds. True: more bytes are needed; false: the budget is used up, or it is over.
bool stream_rx::parse(backend::frame_sink& sink, unsigned budget, unsigned& frames) {
  missing_ = 0;
  while (frames < budget) {
    if (bulk_) {
      absorb();
      if (bulk_left_ > 0) return true;
      bulk_ = false;
      landing_ = {};
      ++frames;
      if (!carry_on(sink.on_bulk_done())) return false;
      continue;
    }
    const const_buffer bytes{buffer_ + begin_, end_ - begin_};
    const peeked peeked = peek(bytes);
    if (peeked.state == peeked::more) return true;
    if (peeked.state == peeked::bad) return carry_on(false);
    const std::size_t head = peeked.head.head_bytes();
    const std::size_t length = peeked.head.length;
    if (length > backend::whole_limit) ahead_ = least_ahead;
    if (length <= bytes.size()) {
      begin_ += length;
      ++frames;
      if (!carry_on(sink.on_frame(bytes.first(head), bytes.subspan(head, length - head)))) return false;
    } else if (length > backend::whole_limit && head <= bytes.size()) {
      if (!begin_bulk(sink, bytes.first(head), length - head)) return false;
    } else {
      missing_ = (length > backend::whole_limit ? head : length) - bytes.size();
      return true;
    }
  }
  return false;
}

bool stream_rx::begin_bulk(backend::frame_sink& sink, const_buffer head, std::size_t body) {
  begin_ += head.size();
  bulk_ = true;
  bulk_left_ = body;
  landed_ = 0;
  const auto landing = sink.on_bulk(head, body);
  if (error_) return false;  // closed meanwhile
  landing_ = landing;
  return true;
}

/// Moves buffered bytes of the body to the landing, or drops them.
void stream_rx::absorb() noexcept {
  std::size_t bytes = std::min(bulk_left_, end_ - begin_);
  const std::byte* from = buffer_ + begin_;
  begin_ += bytes;
  bulk_left_ -= bytes;
  while (bytes > 0 && !landing_.empty()) {
    const mutable_buffer rest = landing_.front().subspan(landed_);
    const std::size_t n = std::min(bytes, rest.size());
    if (n > 0) std::memcpy(rest.data(), from, n);
    from += n;
    bytes -= n;
    land(n);
    if (n == 0) {
      landing_ = landing_.subspan(1);
      landed_ = 0;
    }
  }
}

/// Bytes stand in the landing, from where it was filled so far.
void stream_rx::land(std::size_t bytes) noexcept {
  while (bytes > 0) {
    const std::size_t n = std::min(bytes, landing_.front().size() - landed_);
    landed_ += n;
    bytes -= n;
    if (landed_ == landing_.front().size()) {
      landing_ = landing_.subspan(1);
      landed_ = 0;
    }
  }
}

stream_rx::received stream_rx::receive(backend::byte_stream& stream) {
  ::iovec pieces[pieces_a_recv];
  std::size_t count = 0;
  std::size_t direct = 0;
  bool listed = true;
  std::size_t skip = landed_;
  for (const mutable_buffer& fragment : landing_) {
    if (direct == bulk_left_) break;
    const std::size_t n = std::min(fragment.size() - skip, bulk_left_ - direct);
    if (n > 0) {
      if (!(listed = count < pieces_a_recv - 1)) break;
      pieces[count++] = {fragment.data() + skip, n};
      direct += n;
    }
    skip = 0;
  }
  // Behind an incomplete list of fragments there is no place for what follows them.
  std::size_t ahead = 0;
  if (listed) {
    const std::span<std::byte> into = room(bulk_left_ - direct + ahead_);  // with what is to be discarded
    pieces[count++] = {into.data(), into.size()};
    ahead = into.size();
  }
  const auto moved = stream.recv({pieces, count});
  if (moved.error) error_ = moved.error;
  const std::size_t landed = std::min(moved.bytes, direct);
  bulk_left_ -= landed;
  land(landed);
  end_ += moved.bytes - landed;
  return {moved.error ? 0 : moved.bytes, moved.bytes == direct + ahead};
}

/// After a sink's answer: false when it refused, or closed the link.
bool stream_rx::carry_on(bool accepted) noexcept {
  if (!accepted && !error_) error_ = errc::protocol_error;
  return !error_;
}

bool stream_rx::ready() const noexcept {
  if (error_) return true;
  if (bulk_) return bulk_left_ == 0;
  const const_buffer bytes{buffer_ + begin_, end_ - begin_};
  const peeked peeked = peek(bytes);
  if (peeked.state != peeked::ok) return peeked.state == peeked::bad;
  return peeked.head.length <= bytes.size() ||
         (peeked.head.length > backend::whole_limit && peeked.head.head_bytes() <= bytes.size());
}

void stream_rx::close() noexcept {
  if (!error_) error_ = std::make_error_code(std::errc::not_connected);
  landing_ = {};
  if (!polling_) drop();  // else the sink still looks at a frame in the buffer; poll drops it
}

}  // namespace kfx::wire
