// SPDX-License-Identifier: BSD-2-Clause
#include "wire/stream_link.hpp"

namespace kfx::wire {

const backend::link_caps& stream_link::caps() const noexcept {
  static constexpr backend::link_caps caps{1, chunk_size, limits::frame, std::chrono::milliseconds(0)};
  static_assert(chunk_size >= backend::whole_limit);
  return caps;
}

bool stream_link::quiesce(backend::cookie c) {
  // Without memory for a copy the frame cannot be finished: the link ends, and the memory is as quiet.
  if (!tx_.quiesce(c)) close();
  return true;
}

backend::wait_handle stream_link::arm() {
  tx_.rest();
  // Frames that a budget held back make no descriptor readable.
  if (rx_.ready()) return {};
  rx_.rest();
  const bool waits_for_room = tx_.take_refused();
  return {stream_->native_handle(), true, tx_.pending() || waits_for_room};
}

void stream_link::close() {
  stream_->close();
  tx_.close();
  rx_.close();
}

}  // namespace kfx::wire
