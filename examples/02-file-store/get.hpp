// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Fetches a file or a tree. Listings come with the content of small files, many of them under way; large files
/// follow in chunks that the server writes into offers. Nothing the server says can make this write outside the
/// target directory.

#include <mutex>
#include <string>
#include <vector>

#include "part_file.hpp"
#include "transfer.hpp"

namespace store {

class getter {
 public:
  getter(session&, report&, const transfer_options&, const window& = {});
  /// `remote` becomes `local`. Problems of single files are reported and the rest goes on; throws what leaves
  /// nothing to do.
  void run(const std::string& remote, const std::string& local);

 private:
  using task = asio::awaitable<void>;
  struct job;

  void tree(const entry& top, const std::string& local);
  void single(const entry& top, const std::string& target, std::string local);

  void pump();
  task visit(std::string directory);
  task list(std::string directory);
  task unpack_packet(std::string directory, shared_dir here, buffer_pool::lease, std::size_t bytes);
  /// False: a large file, to be fetched by itself.
  bool take(const std::string& directory, const shared_dir& here, const entry_view&);

  /// A large file: where it is, where it goes, and its name there.
  struct names {
    std::string remote, local, leaf;
  };
  task fetch(shared_dir here, names, entry head, place slot);
  task fetch_once(shared_dir here, const std::string& path, const std::string& leaf, const entry& head);
  task fetch_extents(std::shared_ptr<job>, std::vector<extent>);
  task fetch_chunk(std::shared_ptr<job>, buffer_pool::lease, std::uint64_t offset, std::size_t length);
  void finish_directories();
  /// `path`: below both sides' directories.
  void problem(const std::string& path, const std::system_error&);

  session& s_;
  report& report_;
  const transfer_options options_;
  const window window_;
  std::string remote_;
  std::string local_;
  unique_fd root_;  ///< the target
  buffer_pool packets_;
  buffer_pool chunks_;
  gate files_;
  std::mutex mutex_;
  std::vector<std::string> pending_;  ///< directories to list, last in first out: that bounds it
  std::size_t listing_ = 0;
  std::vector<finished_directory> directories_;
  task_group group_;
};

}  // namespace store
