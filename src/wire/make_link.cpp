// SPDX-License-Identifier: BSD-2-Clause
#include "wire/make_link.hpp"

#include "wire/ring_link.hpp"
#include "wire/stream_link.hpp"

namespace kfx::wire {
namespace {

struct maker {
  std::unique_ptr<backend::link> operator()(std::unique_ptr<backend::link> l) const { return l; }
  std::unique_ptr<backend::link> operator()(std::unique_ptr<backend::byte_stream> s) const {
    return std::make_unique<stream_link>(std::move(s));
  }
  std::unique_ptr<backend::link> operator()(std::unique_ptr<backend::ring_pair> r) const {
    return std::make_unique<ring_link>(std::move(r));
  }
};

}  // namespace

std::unique_ptr<backend::link> make_link(backend::channel c) { return std::visit(maker(), std::move(c)); }

}  // namespace kfx::wire
