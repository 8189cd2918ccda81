// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Sends a file or a tree. Small files travel together in packets, many of them under way; large files in chunks
/// that the server reads from offers. Names appear at the server when what they name is complete.

#include <string>
#include <vector>

#include "part_file.hpp"
#include "transfer.hpp"
#include "tree.hpp"

namespace store {

class putter {
 public:
  putter(session&, report&, const transfer_options&, const window& = {});
  /// `local` becomes `remote`. Problems of single files are reported and the rest goes on; throws what leaves
  /// nothing to do.
  void run(const std::string& local, const std::string& remote);

 private:
  using task = asio::awaitable<void>;
  struct job;

  /// A packet being filled.
  struct parcel {
    buffer_pool::lease buffer;
    packet_writer writer{{}};
    bool worth_sending = false;
  };

  void tree(const std::string& local);
  void single(const std::string& local, const struct stat&);
  task link(std::string from, std::string name);
  task walk();
  task walk_directory(parcel&, std::string directory, std::vector<std::string>& pending);
  /// What is no small file: a directory for later, a large file, or something that cannot be sent.
  task other_entry(std::string directory, int dir, std::string name, entry what, std::vector<std::string>& pending);
  /// What follows in the parcel is put into this directory.
  task place_directory(parcel&, std::string directory, std::uint8_t flags);
  void flush(parcel&);
  task send(buffer_pool::lease, std::size_t bytes);
  void account(kfx::const_buffer packet, const std::vector<failure>&, std::uint64_t failed);
  task finish_directories();

  /// `path`: below both sides' directories.
  void problem(const std::string& path, const std::system_error&);

  task upload(std::shared_ptr<const unique_fd> file, std::string local, std::string remote, place slot);
  task upload_once(std::shared_ptr<const unique_fd> file, const std::string& path);
  task send_chunks(std::shared_ptr<job>);
  task send_chunk(std::shared_ptr<job>, buffer_pool::lease, std::uint64_t offset, std::size_t length);
  task sync();

  session& s_;
  report& report_;
  const transfer_options options_;
  std::string remote_;
  std::string local_;
  unique_fd root_;  ///< the source
  buffer_pool packets_;
  buffer_pool chunks_;
  gate files_;
  std::vector<finished_directory> directories_;
  task_group group_;
};

}  // namespace store
