// SPDX-License-Identifier: BSD-2-Clause
#include "support/faulty_link.hpp"

#include <algorithm>

#include "support/faults.hpp"

namespace kfx::test {
namespace {

/// A connection's first frames are its handshake: cuts there are wanted, but most should come later.
constexpr std::int64_t handshake = 8;

std::int64_t draw_fuse(std::mt19937_64& random, unsigned mean) {
  std::exponential_distribution<double> distance(1.0 / mean);
  std::int64_t fuse = 0;
  do fuse = 1 + static_cast<std::int64_t>(distance(random));
  while (fuse <= std::min<std::int64_t>(handshake, mean / 2) && random() % 4 != 0);
  return fuse;
}

}  // namespace

faulty_link::faulty_link(std::unique_ptr<backend::link> inner, const fault_plan& plan, std::uint64_t seed,
                         std::string address)
    : inner_(std::move(inner)), plan_(plan), random_(seed), control_(wakeable::make("faulty", std::move(address))) {
  if (plan_.cut > 0) fuse_ = draw_fuse(random_, plan_.cut);
}

void faulty_link::spend(unsigned frames) {
  if (plan_.cut == 0 || losing_ || !faults::enabled()) return;
  fuse_ -= frames;
  if (fuse_ > 0 || !plan_.lost_acks || !one_in(2)) return;
  losing_ = true;
  losing_polls_ = 16 + static_cast<unsigned>(random_() % 64);
  losing_until_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
}

bool faulty_link::must_die() {
  if (failed_ || control_->is_cut()) return true;
  if (losing_) return losing_polls_ == 0 || std::chrono::steady_clock::now() >= losing_until_;
  return plan_.cut > 0 && fuse_ <= 0;
}

std::error_code faulty_link::die() {
  if (!dead_) {
    if (!failed_) ++faults::counts().cuts;
    close();
  }
  return std::make_error_code(std::errc::connection_reset);
}

bool faulty_link::refuse() {
  if (!plan_.partial || !faults::enabled() || !one_in(4)) return false;
  refused_ = true;
  ++faults::counts().refusals;
  return true;
}

std::span<std::byte> faulty_link::reserve(std::size_t at_least) {
  if (dead_ || refuse()) return {};
  const auto window = inner_->reserve(at_least);
  if (!plan_.partial || window.size() <= at_least) return window;
  return window.first(at_least + random_() % (window.size() - at_least + 1));
}

void faulty_link::commit(std::size_t bytes) {
  if (dead_) return;
  inner_->commit(bytes);
  spend(1);
}

bool faulty_link::post(const_buffer head, std::span<const const_buffer> body, backend::cookie c) {
  if (dead_ || refuse() || !inner_->post(head, body, c)) return false;
  spend(1);
  return true;
}

std::error_code faulty_link::flush(backend::frame_sink& sink) {
  if (dead_ || must_die()) return die();
  filter_.to = &sink;
  const std::error_code error = inner_->flush(filter_);
  failed_ = failed_ || error;
  return error;
}

backend::link::polled faulty_link::poll(backend::frame_sink& sink, unsigned budget) {
  polled out;
  if (dead_ || must_die()) {
    out.error = die();
    return out;
  }
  if (losing_ && losing_polls_ > 0) --losing_polls_;
  if (hold_ > 0) {
    --hold_;
    return out;
  }
  if (faults::enabled()) {
    if (plan_.delay > 0 && one_in(4)) {
      hold_ = static_cast<unsigned>(random_() % (8 * plan_.delay));
      ++faults::counts().delays;
    }
    if (plan_.partial && budget > 1) budget = 1 + static_cast<unsigned>(random_() % budget);
    if (plan_.cut > 0 && !losing_) budget = static_cast<unsigned>(std::min<std::int64_t>(budget, fuse_));
  }
  filter_.to = &sink;
  const bool lost = losing_;
  out = inner_->poll(filter_, budget);
  failed_ = failed_ || out.error;
  spend(out.frames);
  if (lost) out.frames = 0;
  return out;
}

bool faulty_link::quiesce(backend::cookie c) { return dead_ || inner_->quiesce(c); }

void faulty_link::divert() {
  if (!dead_) inner_->divert();
}

backend::wait_handle faulty_link::arm() {
  const bool awake = dead_ || refused_ || hold_ > 0 || losing_ || must_die();
  refused_ = false;
  return awake ? backend::wait_handle{} : control_->wrap(inner_->arm());
}

void faulty_link::close() {
  dead_ = true;
  inner_->close();
}

bool faulty_link::filter::on_frame(const_buffer head, const_buffer body) {
  if (!owner_.losing_) return to->on_frame(head, body);
  ++faults::counts().swallowed;
  return true;
}

std::span<const mutable_buffer> faulty_link::filter::on_bulk(const_buffer head, std::size_t size) {
  if (!owner_.losing_) return to->on_bulk(head, size);
  ++faults::counts().swallowed;
  return {};
}

bool faulty_link::filter::on_bulk_done() { return owner_.losing_ || to->on_bulk_done(); }

void faulty_link::filter::on_direct(backend::cookie c, std::error_code e) {
  if (!owner_.losing_) return to->on_direct(c, e);
  ++faults::counts().swallowed;
}

backend::started faulty_link::memory::put(backend::direct_key key, std::uint64_t offset,
                                          std::span<const const_buffer> from, backend::cookie c) {
  if (owner_.dead_ || owner_.refuse()) return backend::started::no_room;
  const backend::started begun = inner().put(key, offset, from, c);
  if (begun != backend::started::no_room) owner_.spend(1);
  return begun;
}

backend::started faulty_link::memory::get(backend::direct_key key, std::uint64_t offset,
                                          std::span<const mutable_buffer> into, backend::cookie c) {
  if (owner_.dead_ || owner_.refuse()) return backend::started::no_room;
  const backend::started begun = inner().get(key, offset, into, c);
  if (begun != backend::started::no_room) owner_.spend(1);
  return begun;
}

bool faulty_link::memory::flush(backend::cookie c) { return !owner_.dead_ && !owner_.refuse() && inner().flush(c); }

}  // namespace kfx::test
