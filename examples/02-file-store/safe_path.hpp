// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Names below a directory, and nothing else. Whatever a path says and whoever renames or relinks meanwhile, what
/// is opened lies beneath the root. The kernel does it (openat2, RESOLVE_BENEATH); where it cannot, the components
/// are walked one by one, none of them a symlink.
///
/// All functions throw std::system_error; a path that tries to leave gives EPERM. Any thread.

#include <sys/stat.h>
#include <sys/types.h>

#include <string>
#include <string_view>

#include "unique_fd.hpp"

namespace store {

enum class links {
  inside,  ///< symlinks that stay beneath the root are followed (not by the walk: there ELOOP)
  none,    ///< no component may be one
};

/// "a//b/./c/" becomes "a/b/c"; the root itself is "". EPERM for absolute paths, "..", and names of part files;
/// EINVAL for a NUL; ENAMETOOLONG for a path or component that is too long.
std::string clean_path(std::string_view path);

/// `a` and `b` with a slash where one is needed.
std::string join(std::string_view a, std::string_view b);

/// The last component, and what is before it.
struct split {
  std::string parent;
  std::string leaf;
};
split split_path(const std::string& clean);

/// Opens a clean path beneath `root`. Close-on-exec, no controlling terminal; never blocks on a FIFO.
unique_fd open_beneath(int root, const std::string& clean, int flags, links = links::none, mode_t mode = 0);

/// A directory for reading and for working in.
unique_fd open_dir(int root, const std::string& clean, links = links::none);

/// A regular file for reading; EINVAL (or ELOOP, for a symlink) when it is something else.
unique_fd open_file(int root, const std::string& clean, links = links::inside);
unique_fd open_file_at(int dir, const char* name);

/// Creates what is missing of a clean path, readable by the owner alone until it gets its attributes. A
/// directory that was there is made usable for its owner. `existed`: whether the last one was there.
unique_fd make_dirs(int root, const std::string& clean, bool* existed = nullptr);

/// For tests: false walks even where openat2 is there.
void use_openat2(bool) noexcept;

}  // namespace store
