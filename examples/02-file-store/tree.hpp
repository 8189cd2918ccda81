// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Reading and removing what is in a directory. None of this follows a symlink.

#include <dirent.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "protocol.hpp"
#include "unique_fd.hpp"

namespace store {

/// The entries of a directory one by one; "." and ".." and part files left out.
class directory_reader {
 public:
  /// `cursor`: 0, or what `cursor()` of an earlier reader said. Throws std::system_error.
  explicit directory_reader(unique_fd dir, std::uint64_t cursor = 0);
  directory_reader(const directory_reader&) = delete;
  directory_reader& operator=(const directory_reader&) = delete;
  ~directory_reader();

  int fd() const noexcept;
  /// Null at the end; valid until the next call. Throws std::system_error.
  const char* next();
  /// The same, part files included.
  const char* next_of_all();
  /// Where to go on after the entry that `next` gave last.
  std::uint64_t cursor() const noexcept { return cursor_; }

 private:
  DIR* dir_;
  std::uint64_t cursor_;
};

kind kind_of(const struct stat&) noexcept;
/// Kind, mode, size, time, inode, and whether it may have holes.
entry describe(const struct stat&) noexcept;

/// Adds `name` to the packet: a symlink with its target, a small file with its content if `content` is wanted.
/// What cannot be read is told in the entry, which is copied to `what`.
enum class packed {
  added,
  gone,     ///< it vanished meanwhile; nothing was added
  no_room,  ///< nothing was added
};
packed pack(packet_writer&, int dir, const char* name, bool content, entry& what);

/// Puts the file or symlink of a packet into a directory, complete or not at all. Throws std::system_error.
void unpack(int dir, const entry_view&, bool sync);

/// A name in a directory; with `recursive` a directory and all below it. Throws std::system_error.
void remove_at(int dir, const std::string& name, bool recursive);

/// Part files nobody works on, in the directory and everywhere below. How many were removed.
std::size_t sweep_tree(int dir);

}  // namespace store
