// SPDX-License-Identifier: BSD-2-Clause
#include "engine/pools.hpp"

#include <new>

#include "base/block_pool.hpp"

namespace kfx::engine {
namespace {

using detail::op_state;

// Leaked on purpose: handles in static storage may outlive everything else.
base::object_pool<op_state>& ops() {
  static auto* pool = new base::object_pool<op_state>(1u << 24, [](op_state& o, std::uint32_t i) { o.id = i; });
  return *pool;
}

template <std::size_t Size>
base::block_pool& blocks() {
  static auto* pool = new base::block_pool(Size);
  return *pool;
}

/// What a thread freed last, for what it allocates next: the pools' heads are contended by all threads.
class magazine {
 public:
  void* take() noexcept { return count_ != 0 ? slots_[--count_] : nullptr; }
  /// False: it is full, or its thread is ending.
  bool keep(void* block) noexcept {
    if (count_ >= limit_) return false;
    slots_[count_++] = block;
    return true;
  }
  template <class Free>
  void end(Free free) noexcept {
    limit_ = 0;
    while (void* block = take()) free(block);
  }

 private:
  std::uint32_t count_ = 0;
  std::uint32_t limit_ = size;
  static constexpr std::uint32_t size = 32;
  void* slots_[size]{};
};

struct magazines {
  magazine ops, small;
};
// Without a destructor, so that each use need not ask whether it was constructed.
constinit thread_local magazines kept;

struct emptied_at_exit {
  ~emptied_at_exit() {
    kept.ops.end([](void* o) { engine::ops().free(static_cast<op_state*>(o)); });
    kept.small.end([](void* b) { blocks<256>().free(b); });
  }
  void touch() noexcept {}
};
thread_local emptied_at_exit at_exit;

/// All of it is zero at first. Compilers make string instructions of that, which take 30 cycles to get going.
inline void clear(op_state& o) noexcept {
  static_assert(std::is_trivially_destructible_v<op_state> && alignof(op_state) % 16 == 0);
  using block [[gnu::vector_size(16), gnu::may_alias]] = long long;
  auto* at = reinterpret_cast<block*>(&o);
  for (std::size_t i = 0; i < sizeof o / sizeof(block); ++i) {
    at[i] = block{};
    asm volatile("" : : "r"(at) : "memory");
  }
}

void* from(base::block_pool& pool) {
  at_exit.touch();
  void* p = pool.allocate();
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace

op_state* allocate_op() noexcept {
  auto* o = static_cast<op_state*>(kept.ops.take());
  if (!o) [[unlikely]] {
    at_exit.touch();
    o = ops().allocate();
    if (!o) return nullptr;
  }
  const op_id id = o->id + (op_id{1} << 24);
  clear(*o);
  o->id = id;
  return o;
}

void free_op(op_state& o) noexcept {
  o.owner = nullptr;
  o.kind = detail::verb::none;
  if (!kept.ops.keep(&o)) ops().free(&o);
}

op_state* find_op(std::uint32_t index) noexcept { return ops().at(index); }

void* pool_allocate(std::size_t bytes) {
  if (bytes <= 256) {
    void* p = kept.small.take();
    return p ? p : from(blocks<256>());
  }
  if (bytes <= 4096) return from(blocks<4096>());
  if (bytes <= 16384) return from(blocks<16384>());
  return ::operator new(bytes);
}

void pool_free(void* p, std::size_t bytes) noexcept {
  if (bytes <= 256) {
    if (!kept.small.keep(p)) blocks<256>().free(p);
    return;
  }
  if (bytes <= 4096) return blocks<4096>().free(p);
  if (bytes <= 16384) return blocks<16384>().free(p);
  ::operator delete(p);
}

}  // namespace kfx::engine

namespace kfx::detail {
void* closure_allocate(std::size_t bytes) { return engine::pool_allocate(bytes); }
void closure_free(void* block, std::size_t bytes) noexcept { engine::pool_free(block, bytes); }
}  // namespace kfx::detail
