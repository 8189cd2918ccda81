// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// What client and server of the file store say to each other: fixed little-endian structs, each checked where it
/// arrives. A request is a message header: `request`, then the path. A reply is `reply`, then what the verb adds.
///
///     stat     path                          reply: attributes; the target when it is a symlink
///     list     path, cursor                  reply payload: a packet of entries, small files with their content
///     read     path, range, what it was,     server writes the bytes to the offer, then replies
///              offer
///     extents  path, from                    reply: the `extent`s of data; the rest is holes
///     batch    path; payload: a packet       directories, symlinks, small files, attributes of directories;
///                                            reply: the entries that failed
///     begin    path, size                    reply: the id of an upload
///     chunk    id, range, offer              server reads the bytes from the offer, then replies
///     finish   id, mode, mtime               publishes the upload under its name
///     abort    id
///     remove   path
///     sync     -                             everything published so far is on the disk
///
/// What fails is rejected with an errno. Paths are relative to the served directory; the empty one names it.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <kfx/error.hpp>
#include <kfx/types.hpp>

namespace store {

static_assert(std::endian::native == std::endian::little, "a big-endian port needs byte swaps here");

inline constexpr std::uint32_t magic = 0x3153464b;                   ///< "KFS1"
inline constexpr std::size_t max_path = 3072;                        ///< bytes; a request fits a message header
inline constexpr std::size_t max_name = 255;                         ///< bytes of one component
inline constexpr std::size_t packet_bytes = std::size_t{1} << 20;    ///< the most one packet of entries takes
inline constexpr std::size_t chunk_bytes = std::size_t{1} << 20;     ///< the most one read or chunk moves
inline constexpr std::size_t inline_limit = std::size_t{128} << 10;  ///< larger files are moved by read and chunk

enum class verb : std::uint8_t { stat = 1, list, read, extents, batch, begin, chunk, finish, abort, remove, sync };
inline constexpr auto last_verb = verb::sync;

/// Bits of request::flags.
enum request_flag : std::uint8_t {
  want_fsync = 1,    ///< batch, finish: each file is on the disk before it gets its name
  recursive = 2,     ///< remove: a directory with all that is in it
  with_content = 4,  ///< list: small files come with their content
};

enum class kind : std::uint8_t { file = 1, directory, symlink, other };

struct request {
  std::uint32_t magic = store::magic;
  verb op{};
  std::uint8_t flags = 0;
  std::uint16_t path_length = 0;
  std::uint64_t id = 0;      ///< the upload; read: the inode that is expected
  std::uint64_t offset = 0;  ///< list: the cursor
  std::uint64_t length = 0;  ///< read, chunk: bytes
  std::int64_t mtime = 0;    ///< read: what is expected
  std::uint32_t mtime_ns = 0;
  std::uint32_t mode = 0;
  std::uint64_t size = 0;  ///< begin: of the file; read: what is expected
  std::byte token[40]{};   ///< read, chunk: the client's offer
};
static_assert(sizeof(request) == 96 && sizeof(request) + max_path <= kfx::limits::header);

struct reply {
  std::uint32_t magic = store::magic;
  std::uint32_t count = 0;   ///< entries, extents or failures that follow
  std::uint64_t bytes = 0;   ///< of the packet; batch: entries that failed, listed or not
  std::uint64_t cursor = 0;  ///< list, extents: where to go on
  std::uint8_t end = 0;      ///< list, extents: nothing is left
  store::kind kind{};
  std::uint16_t flags = 0;  ///< stat: entry_flag
  std::uint32_t mode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime = 0;
  std::uint32_t mtime_ns = 0;
  std::uint32_t reserved = 0;
  std::uint64_t id = 0;  ///< stat: the inode; begin: the upload
};
static_assert(sizeof(reply) == 64);

enum entry_flag : std::uint8_t {
  has_content = 1,     ///< `data` is the whole file
  dense = 2,           ///< as far as the file system tells there are no holes
  first_mention = 8,   ///< batch: a directory not named in an earlier packet
  set_attributes = 4,  ///< batch: a directory that is complete; give it its mode and time
};

/// One file, directory or symlink in a packet; its name and data follow. In a batch a directory's name is a path
/// below the request's, is created with its parents, and is where the following entries go.
struct entry {
  store::kind kind{};
  std::uint8_t flags = 0;
  std::uint16_t name_length = 0;
  std::uint32_t mode = 0;
  std::uint32_t error = 0;        ///< errno: why the server could not tell more
  std::uint32_t data_length = 0;  ///< content, or a symlink's target
  std::uint64_t size = 0;
  std::int64_t mtime = 0;
  std::uint32_t mtime_ns = 0;
  std::uint32_t reserved = 0;
  std::uint64_t inode = 0;
};
static_assert(sizeof(entry) == 48);

struct extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
struct failure {
  std::uint32_t index = 0;  ///< of the entry in its packet
  std::uint32_t error = 0;
};
inline constexpr std::size_t max_listed = 240;  ///< extents or failures in one reply
static_assert(sizeof(reply) + max_listed * sizeof(extent) <= kfx::limits::header);

struct parsed_request {
  request head;
  std::string_view path;  ///< into the bytes that were parsed
};
/// EPROTO unless it is exactly one well-formed request.
kfx::result<parsed_request> parse_request(kfx::const_buffer bytes) noexcept;
/// EPROTO unless a reply is there and what it says about itself fits into `bytes`.
kfx::result<reply> parse_reply(kfx::const_buffer bytes) noexcept;

/// A request as bytes. The path must be at most max_path.
std::string encode(request head, std::string_view path);

/// A name that may be created in a directory: one component, not "." or "..", and none of our own part files.
bool good_name(std::string_view name) noexcept;

/// Builds a packet in place.
class packet_writer {
 public:
  explicit packet_writer(kfx::mutable_buffer space) noexcept : space_(space) {}
  std::size_t bytes() const noexcept { return used_; }
  std::uint32_t count() const noexcept { return count_; }
  bool fits(std::size_t name_length, std::size_t data_length) const noexcept {
    return space_.size() - used_ >= sizeof(entry) + name_length + data_length;
  }
  /// Room for the data that `fits`; `finish` ends the entry with what is really there.
  kfx::mutable_buffer room(std::size_t name_length, std::size_t data_length) const noexcept {
    return space_.subspan(used_ + sizeof(entry) + name_length, data_length);
  }
  /// The data is where `room` said; name and head come before it.
  void finish(entry head, std::string_view name, std::size_t data_length) noexcept;
  /// Takes back what was added since `bytes()` and `count()` were these.
  void rewind(std::size_t bytes, std::uint32_t count) noexcept {
    used_ = bytes;
    count_ = count;
  }
  /// All at once, for entries whose data is at hand. The caller asked `fits`.
  void add(entry head, std::string_view name, std::string_view data = {}) noexcept;

 private:
  kfx::mutable_buffer space_;
  std::size_t used_ = 0;
  std::uint32_t count_ = 0;
};

struct entry_view {
  entry head;
  std::string_view name;
  kfx::const_buffer data;
};

/// Takes a packet apart, trusting nothing.
class packet_reader {
 public:
  explicit packet_reader(kfx::const_buffer bytes) noexcept : bytes_(bytes) {}
  bool at_end() const noexcept { return bytes_.empty(); }
  /// EPROTO when the bytes left are no entry.
  kfx::result<entry_view> next() noexcept;

 private:
  kfx::const_buffer bytes_;
};

}  // namespace store
