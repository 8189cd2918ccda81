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

void* from(base::block_pool& pool) {
  void* p = pool.allocate();
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace

op_state* allocate_op() noexcept {
  op_state* o = ops().allocate();
  if (!o) return nullptr;
  const op_id id = o->id + (op_id{1} << 24);
  o->~op_state();
  new (o) op_state();
  o->id = id;
  return o;
}

void free_op(op_state& o) noexcept {
  o.owner = nullptr;
  o.kind = detail::verb::none;
  ops().free(&o);
}

op_state* find_op(std::uint32_t index) noexcept { return ops().at(index); }

void* pool_allocate(std::size_t bytes) {
  if (bytes <= 256) return from(blocks<256>());
  if (bytes <= 4096) return from(blocks<4096>());
  if (bytes <= 16384) return from(blocks<16384>());
  return ::operator new(bytes);
}

void pool_free(void* p, std::size_t bytes) noexcept {
  if (bytes <= 256) return blocks<256>().free(p);
  if (bytes <= 4096) return blocks<4096>().free(p);
  if (bytes <= 16384) return blocks<16384>().free(p);
  ::operator delete(p);
}

}  // namespace kfx::engine

namespace kfx::detail {
void* closure_allocate(std::size_t bytes) { return engine::pool_allocate(bytes); }
void closure_free(void* block, std::size_t bytes) noexcept { engine::pool_free(block, bytes); }
}  // namespace kfx::detail
