// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The memory behind `node::allocate`: a file without a name, mapped once, so that a process on this host can be
/// handed it and map it too. A descriptor gives away the whole file, so each buffer has one of its own: what else lay
/// in it would be the peer's as well.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace kfx::memory {

/// Any thread. Freed, descriptor and mapping, when the last who refers to it lets go.
class slab : public std::enable_shared_from_this<slab> {
 public:
  struct wish {
    std::size_t bytes = 0;
    int numa_node = -1;      ///< where its pages are to lie, as far as that node has some; negative: wherever
    bool huge_pages = true;  ///< where there are any
  };
  /// Zeroed, a whole number of pages and one at least. A file's pages are taken at once, so that running out of memory
  /// is an error here and no signal later. Throws kfx::error (out_of_resources).
  static std::shared_ptr<slab> make(const wish&);
  ~slab();
  slab(const slab&) = delete;
  slab& operator=(const slab&) = delete;

  std::byte* data() const noexcept { return data_; }
  /// Of the mapping and of the file; behind what was asked for are zeros.
  std::size_t size() const noexcept { return size_; }
  /// What was asked for.
  std::size_t asked() const noexcept { return asked_; }
  /// Unlike its address, never used twice in this process.
  std::uint64_t serial() const noexcept { return serial_; }
  /// Sealed against shrinking and growing. Further seals may be added (against further writers, say). -1: the process
  /// had no descriptors to spare, and the memory is this process's alone.
  int fd() const noexcept { return fd_; }

  /// `separate` was called.
  bool separated() const noexcept { return separated_.load(); }

  /// Who handed the file to other processes.
  class watcher {
   public:
    virtual ~watcher() = default;
    /// The file of that slab is not the memory any more, or the memory is gone: when this returns, what those
    /// processes do to the file is not taken for done to the memory. Any thread.
    virtual void file_lost(std::uint64_t serial) noexcept = 0;
  };
  /// Told until it is gone. Throws std::bad_alloc.
  void watch(const std::weak_ptr<watcher>&);
  /// The file is the memory, and `separate` will find the pages it needs. False: do not hand it out.
  bool can_be_handed_out() noexcept;
  /// Gives [offset, offset + bytes) pages of its own, with the same content: what a process that stopped in the middle
  /// of an access does to the file there later reaches the memory no more. Content and the stores of this process's
  /// threads meanwhile are kept; for ever after the file is no longer the memory, and its watchers are told first.
  /// Costs a copy of that range. False: there are no pages to be had.
  bool separate(std::size_t offset, std::size_t bytes) noexcept;

  /// The node its pages were asked to lie on, or -1.
  int numa_node() const noexcept { return numa_node_; }
  /// 4 KiB, or 2 MiB where reserved huge pages were free. (Transparent ones come and go unseen.)
  std::size_t page_size() const noexcept { return page_size_; }

 private:
  slab() = default;
  bool make_file(std::size_t bytes, std::size_t page, int numa_node);
  void make_anonymous(const wish&);
  bool map(int flags);
  void place(int numa_node) noexcept;
  bool commit() noexcept;
  void clear() noexcept;
  struct range {
    std::size_t begin, end;
  };
  bool separate_pages(range) noexcept;
  void tell_watchers() noexcept;
  std::size_t spare_bytes() const noexcept;
  void give_spare_back() noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t asked_ = 0;
  std::size_t page_size_ = 0;
  std::uint64_t serial_ = 0;
  int fd_ = -1;
  int numa_node_ = -1;

  std::mutex mutex_;  ///< of what follows
  std::vector<std::weak_ptr<watcher>> watchers_;
  std::atomic<bool> separated_{false};
  std::vector<range> own_;  ///< what has pages of its own, ascending
  void* spare_ = nullptr;   ///< keeps huge pages reserved, which could not be had when they are needed
};

/// Where an address lies in a file.
struct slab_place {
  int fd = -1;
  std::size_t offset = 0;
  std::shared_ptr<slab> keep;  ///< mapping and descriptor stay as long as this does
};

/// Nothing when that address is in no slab, or in one without a file, or whose file is not the memory any more. O(log
/// n), and hardly anything while there are no slabs. Any thread.
std::optional<slab_place> slab_of(const void* address);

/// How many descriptors slabs hold now.
std::size_t slab_descriptors() noexcept;

}  // namespace kfx::memory
