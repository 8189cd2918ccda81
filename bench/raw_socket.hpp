// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The reference: what a program reaches that does nothing but move these bytes over a spinning TCP socket.

#include <cstddef>
#include <cstdint>

namespace bench::raw {

/// A connected pair over 127.0.0.1, TCP_NODELAY, non-blocking. The first end for the caller, the second for its child.
void connect_pair(int (&ends)[2]);

/// `n` times: `bytes` there, `back` bytes back. Client: nanoseconds per round trip.
double round_trips(int fd, std::size_t bytes, std::size_t back, unsigned n);
void answer_round_trips(int fd, std::size_t bytes, std::size_t back, unsigned n);

/// `n` blocks of `bytes` one way, one small answer at the end. Bytes per nanosecond, as the sender sees it.
double stream_out(int fd, std::size_t bytes, unsigned n);
void take_stream(int fd, std::size_t bytes, unsigned n);
/// The other way round: the caller receives.
double stream_in(int fd, std::size_t bytes, unsigned n);
void give_stream(int fd, std::size_t bytes, unsigned n);

/// `n` records of `bytes`, gathered `depth / 2` at a time out of separate buffers, at most `depth` unanswered; the
/// receiver answers each gathered burst with 8 bytes. Bytes per nanosecond.
double gather(int fd, std::size_t bytes, unsigned depth, unsigned n);
void take_gathered(int fd, std::size_t bytes, unsigned depth, unsigned n);

}  // namespace bench::raw
