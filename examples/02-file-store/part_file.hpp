// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// A file gets its name when it is complete, never before: it is written under a temporary name in the same
/// directory and renamed. What a killed process leaves behind is recognised by its name and by nobody holding a
/// lock on it.

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include <kfx/types.hpp>

#include "unique_fd.hpp"

namespace store {

inline constexpr std::string_view part_prefix = ".kfx-part.";
/// The prefix and 16 hex digits, as part_file makes them: other names that begin like that are somebody's files.
inline bool is_part_name(std::string_view name) noexcept {
  return name.starts_with(part_prefix) && name.size() == part_prefix.size() + 16 &&
         name.find_first_not_of("0123456789abcdef", part_prefix.size()) == std::string_view::npos;
}

struct attributes {
  std::uint32_t mode = 0;  ///< permission bits
  std::int64_t mtime = 0;
  std::uint32_t mtime_ns = 0;
};

/// Set-user-id and set-group-id bits on files give rights, and whoever sent them may have none: they are dropped
/// unless asked for.
void keep_set_id(bool) noexcept;
std::uint32_t file_mode(std::uint32_t mode) noexcept;

/// One file on its way. Not thread-safe, except that several threads may write to `fd()`.
class part_file {
 public:
  /// `leaf` is a good name. Throws std::system_error.
  part_file(shared_dir dir, std::string leaf);
  part_file(const part_file&) = delete;
  part_file& operator=(const part_file&) = delete;
  /// Removes it unless it was published.
  ~part_file();

  int fd() const noexcept { return fd_.get(); }
  /// Gives it its attributes and its name, replacing what has it. With `sync`: file and name are on the disk when
  /// this returns. Throws std::system_error (and then nothing has happened to the name).
  void publish(const attributes&, bool sync);

 private:
  shared_dir dir_;
  std::string leaf_;
  std::string part_;
  unique_fd fd_;
};

/// A whole small file: the same promise with fewer system calls.
void write_small(int dir, const std::string& leaf, kfx::const_buffer content, const attributes&, bool sync);
/// A symlink, replacing what has the name unless that is a directory.
void write_symlink(int dir, const std::string& leaf, const std::string& target, const attributes&);
/// Mode and time of a directory.
void set_directory(int dir, const attributes&);

/// All of it, at this offset. Throws std::system_error.
void write_at(int fd, kfx::const_buffer, std::uint64_t offset);
/// As much as there is, which is less than asked for only at the end of the file.
std::size_t read_at(int fd, kfx::mutable_buffer, std::uint64_t offset);

/// Removes part files that nobody works on in one directory. How many. Never throws: what cannot be removed stays.
std::size_t sweep(int dir) noexcept;

}  // namespace store
