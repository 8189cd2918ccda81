// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What `kfx perf` says to its server: all of it. The first byte of a message's header says what it is; the rest of
/// a ping's, a datum's or a call's header is padding. All on the default lane, so that they arrive in order.

#include <cstdint>
#include <cstring>
#include <kfx/kfx.hpp>
#include <optional>

namespace tool::perf {

enum class kind : std::uint8_t {
  order = 'o',  ///< an `order`, answered with an `answer`
  ping = 'p',   ///< take the payload, then send one like it back
  data = 'd',   ///< take the payload
  call = 'c',   ///< reply with as many bytes as the order said
};

enum class verb : std::uint8_t {
  hello = 1,  ///< what the client is, and the memory it wants
  begin,      ///< the test that comes
  end,        ///< it is over
  bye,        ///< the client is done
};

enum class test : std::uint8_t {
  send_oneway = 1,  ///< messages back and forth between handlers
  notify_oneway,    ///< writes with notification back and forth
  write8_oneway,    ///< 8-byte writes back and forth between threads that look at the word
  send,
  call,
  write,
  notify,
  write8,
  read,
};

enum class memory : std::uint8_t { allocated, ordinary };

inline constexpr std::uint8_t version = 1;

/// A trivially copyable record, little-endian as every machine kfx runs on so far.
struct order {
  kind what = kind::order;
  std::uint8_t version = perf::version;
  perf::verb verb = verb::hello;
  perf::test test = test::send;
  perf::memory memory = memory::allocated;  ///< hello: of the server
  std::uint8_t padding[3]{};
  std::uint64_t size = 0;                                           ///< hello: bytes of memory; begin: of one op
  std::uint64_t header = 0;                                         ///< begin: bytes of a message's header
  std::uint64_t payload = 0;                                        ///< begin: and of its payload
  std::uint64_t places = 1;                                         ///< begin: an op's memory is one of so many in turn
  std::array<std::byte, kfx::remote_region::encoded_size> token{};  ///< hello: of the client's memory
};
static_assert(sizeof(order) == 80 && std::is_trivially_copyable_v<order>);

enum class status : std::uint8_t { ok = 1, busy, no_memory, other_version, no_sense };

struct answer {
  perf::status status = status::ok;
  std::uint8_t version = perf::version;
  std::uint8_t padding[6]{};
  std::uint64_t count = 0;                                          ///< end: messages and notifications that came
  std::array<std::byte, kfx::remote_region::encoded_size> token{};  ///< hello: of the server's memory
};
static_assert(sizeof(answer) == 56 && std::is_trivially_copyable_v<answer>);

/// Nothing when these bytes are no such record.
template <class Record>
std::optional<Record> decode(kfx::const_buffer bytes) {
  Record r;
  if (bytes.size() != sizeof r) return {};
  std::memcpy(&r, bytes.data(), sizeof r);
  return r;
}

template <class Record>
kfx::const_buffer bytes_of(const Record& r) {
  return std::as_bytes(std::span(&r, 1));
}

/// Messages up to this size are their header alone, unless --header says otherwise.
inline constexpr std::uint64_t bare_header = 64;

}  // namespace tool::perf
