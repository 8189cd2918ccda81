// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What selftest nodes and consoles say to each other. All numbers are little-endian; a message is a head and a body,
/// nothing between and nothing behind. Whatever comes is checked here before anybody looks at it.
///
///     portal 50   requests of consoles, at most 16 KiB          (control_portal)
///     portal 51   requests of tests, at most 128 bytes          (test_portal)
///     portal 52   replies at match bits 2 * rpc, and the memory of brw at 2 * rpc + 1    (answer_portal)
///
///     head     0 u32 magic   4 u16 version   6 u16 kind (+ 0x8000: its reply)
///              8 u64 rpc, unique to the asking node      16 u64 console's NID   24 u64 stamp   32 u64 key
///             40 i32 status, 0 or -errno (requests: 0)   44 u32 bytes of the body
///             48 u32 milliseconds that the asker waits   52 u32 zero
///     text     u32 bytes, then those
///
///     ping        u64 number; the reply has the same
///     brw         u8 1 read, 2 write   u8 check   u16 zero   u32 length   u32 offset   u32 zero   u64 seed (write)
///                 write: the server GETs the memory; read: it PUTs into it; then the reply:
///                 u64 seed (read)   u32 first wrong byte or ~0 (write)   u32 bytes moved
///     join        u32 seconds until it ends unheard   u32 1 with force   text name     reply: session
///     leave       -
///     status      -                                                                   reply: session
///     session     u64 console's NID   u64 stamp   u32 timeout   u32 tests that run   u64 ms that the node is up   text
///     add_test    u32 batch   u32 test   u8 operation (0 ping, 1 read, 2 write)   u8 check   u16 zero
///                 u32 size   u32 offset   u32 concurrency   u32 ms for an RPC   u64 loop   u32 n, n times u64 NID
///     run, stop, query    u32 batch   u32 zero      reply of query: u32 n, u32 zero, n times test_result
///     statistics  -                                 reply: node_statistics, its u64s in their order

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nid.hpp"
#include "pattern.hpp"
#include "types.hpp"

namespace lnet::selftest {

inline constexpr unsigned control_portal = 50, test_portal = 51, answer_portal = 52;
static_assert(answer_portal < portal_count);

inline constexpr std::uint32_t magic = 0x3153544c;  ///< "LTS1"
inline constexpr std::uint16_t version = 1;
inline constexpr std::size_t head_size = 56;
inline constexpr std::size_t small_message = 128;                    ///< of a test, head and body
inline constexpr std::size_t large_message = std::size_t{16} << 10;  ///< of a console
static_assert(large_message <= mtu);
inline constexpr std::size_t max_name = 32;
inline constexpr std::size_t max_servers = 1900;  ///< of one client in one test
inline constexpr std::size_t max_results = 160;   ///< tests of one batch that one answer tells of
inline constexpr std::uint32_t max_concurrency = 1024;
inline constexpr std::size_t max_offset = 4096;  ///< within a page; less than this

enum class kind : std::uint16_t {
  ping = 1,
  brw = 2,
  join = 16,
  leave,
  status,
  add_test,
  run_batch,
  stop_batch,
  query_batch,
  statistics,
};
const char* to_string(kind) noexcept;

constexpr std::uint64_t reply_bits(std::uint64_t rpc) noexcept { return rpc << 1; }
constexpr std::uint64_t bulk_bits(std::uint64_t rpc) noexcept { return rpc << 1 | 1; }

/// Whose nodes they are. The key is for those within it only.
struct session_id {
  nid console{};
  std::uint64_t stamp = 0;
  std::uint64_t key = 0;
  bool operator==(const session_id&) const = default;
  explicit operator bool() const noexcept { return stamp != 0; }
};

struct head {
  selftest::kind kind{};
  bool reply = false;
  std::uint64_t rpc = 0;
  session_id session{};
  std::int32_t status = 0;
  std::uint32_t patience_ms = 0;
  bool operator==(const head&) const = default;
};

enum class operation_kind : std::uint8_t { ping = 0, read = 1, write = 2 };
const char* to_string(operation_kind) noexcept;

// Bodies.

struct empty_body {
  bool operator==(const empty_body&) const = default;
};
struct ping_body {
  std::uint64_t number = 0;
  bool operator==(const ping_body&) const = default;
};
struct brw_request {
  operation_kind direction = operation_kind::read;  ///< no ping
  selftest::check check{};
  std::uint32_t length = 0;  ///< 1 to the mtu
  std::uint32_t offset = 0;  ///< multiple of 8, below max_offset
  std::uint64_t seed = 0;
  bool operator==(const brw_request&) const = default;
};
inline constexpr std::uint32_t nothing_wrong = ~std::uint32_t{0};
struct brw_reply {
  std::uint64_t seed = 0;
  std::uint32_t wrong_at = nothing_wrong;
  std::uint32_t moved = 0;
  bool operator==(const brw_reply&) const = default;
};
struct join_request {
  std::uint32_t timeout_s = 0;
  bool force = false;
  std::string name;
  bool operator==(const join_request&) const = default;
};
struct session_info {
  nid console{};
  std::uint64_t stamp = 0;  ///< 0: the node is in no session
  std::uint32_t timeout_s = 0;
  std::uint32_t running = 0;
  std::uint64_t uptime_ms = 0;
  std::string name;
  bool operator==(const session_info&) const = default;
};
/// What one client does in a test.
struct test_request {
  std::uint32_t batch = 0, test = 0;
  operation_kind operation{};
  selftest::check check{};
  std::uint32_t size = 0, offset = 0;
  std::uint32_t concurrency = 1;
  std::uint32_t rpc_timeout_ms = 0;
  std::uint64_t loop = 0;  ///< of each of the `concurrency`; 0: until stopped
  std::vector<nid> servers;
  bool operator==(const test_request&) const = default;
};
struct batch_request {
  std::uint32_t batch = 0;
  bool operator==(const batch_request&) const = default;
};
/// Of one client in one test.
struct test_result {
  std::uint32_t test = 0;
  std::uint32_t active = 0;                                           ///< loops that have not ended
  std::uint64_t completed = 0, failed = 0, expired = 0, corrupt = 0;  ///< RPCs; of the failed so many expired, …
  std::uint64_t bytes = 0;                                            ///< of the completed
  std::uint64_t elapsed_us = 0;
  bool operator==(const test_result&) const = default;
};
struct batch_results {
  std::vector<test_result> tests;
  bool operator==(const batch_results&) const = default;
};
struct node_statistics {
  std::uint64_t now_us = 0;                                            ///< of the node's own clock
  std::uint64_t rpcs_sent = 0, rpcs_completed = 0, rpcs_received = 0;  ///< of tests: asked, answered; served
  std::uint64_t dropped = 0;                         ///< requests that were nonsense or could not be answered
  std::uint64_t expired = 0;                         ///< RPCs whose answer did not come in time
  std::uint64_t errors = 0;                          ///< RPCs that failed, whatever the reason
  std::uint64_t ping_errors = 0, brw_errors = 0;     ///< answers and memory that were not as they should be
  std::uint64_t bytes_sent = 0, bytes_received = 0;  ///< of brw
  std::uint64_t lnet_sent = 0, lnet_received = 0, lnet_dropped = 0;  ///< LNet's messages
  bool operator==(const node_statistics&) const = default;
};

/// Writes the whole message into `out`; the bytes it took. What does not fit is the caller's mistake: 0.
template <class Body>
std::size_t encode(const head&, const Body&, std::span<std::byte> out) noexcept;

/// Another head for a message that is whole.
void rename(std::span<std::byte> message, const head&) noexcept;

struct parsed {
  selftest::head head;
  std::span<const std::byte> body;
};
/// Nothing unless the bytes are one whole message with a head that makes sense.
std::optional<parsed> parse(std::span<const std::byte>) noexcept;
/// Nothing unless the body is exactly that, each field within its bounds.
template <class Body>
std::optional<Body> parse_body(std::span<const std::byte>);

}  // namespace lnet::selftest
