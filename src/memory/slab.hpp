// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The memory behind `node::allocate`: a file without a name, mapped once, so that a process on this host can be
/// handed it and map it too. A descriptor gives away the whole file, so each buffer has one of its own: what else lay
/// in it would be the peer's as well.

#include <cstddef>
#include <memory>
#include <optional>

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
  /// Sealed against shrinking and growing. Further seals may be added (against further writers, say). -1: the process
  /// had no descriptors to spare, and the memory is this process's alone.
  int fd() const noexcept { return fd_; }
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

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t page_size_ = 0;
  int fd_ = -1;
  int numa_node_ = -1;
};

/// Where an address lies in a file.
struct slab_place {
  int fd = -1;
  std::size_t offset = 0;
  std::shared_ptr<slab> keep;  ///< mapping and descriptor stay as long as this does
};

/// Nothing when that address is in no slab, or in one without a file. O(log n), and hardly anything while there are no
/// slabs. Any thread.
std::optional<slab_place> slab_of(const void* address);

/// How many descriptors slabs hold now.
std::size_t slab_descriptors() noexcept;

}  // namespace kfx::memory
