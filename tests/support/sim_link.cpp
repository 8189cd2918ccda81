// SPDX-License-Identifier: BSD-2-Clause
#include "support/sim_link.hpp"

#include <algorithm>

#include "support/faults.hpp"

namespace kfx::test {

sim_link::sim_link(std::unique_ptr<backend::link> frames, std::shared_ptr<sim_fabric> fabric, unsigned end,
                   std::uint64_t seed, unsigned cut_after, std::string address)
    : frames_(std::move(frames)),
      caps_(frames_->caps()),
      memory_(std::move(fabric), end, seed ^ 0x5bd1e995),
      random_(seed),
      control_(wakeable::make("sim", std::move(address))) {
  caps_.quiesce_bound = sim_memory::quiesce_bound;
  if (cut_after > 0) fuse_ = 1 + static_cast<std::int64_t>(std::exponential_distribution<>(1.0 / cut_after)(random_));
}

bool sim_link::must_die() { return failed_ || control_->is_cut() || fuse_ == 0; }

std::error_code sim_link::die(backend::frame_sink& sink) {
  if (!dead_) {
    dead_ = true;
    if (!failed_) ++faults::counts().cuts;
    // The other end finds out. Shared memory stays open to what is on its way until `close`, as with hardware.
    frames_->close();
    memory_.abandon();
  }
  for (; !waiting_.empty(); waiting_.pop_front()) sink.on_quiet(waiting_.front().id);
  return std::make_error_code(std::errc::connection_reset);
}

std::span<std::byte> sim_link::reserve(std::size_t at_least) { return frames_->reserve(at_least); }

void sim_link::commit(std::size_t bytes) {
  frames_->commit(bytes);
  if (fuse_ > 0 && faults::enabled()) --fuse_;
}

bool sim_link::post(const_buffer head, std::span<const const_buffer> body, backend::cookie c) {
  if (!frames_->post(head, body, c)) return false;
  ++posted_[c];
  if (fuse_ > 0 && faults::enabled()) --fuse_;
  return true;
}

void sim_link::filter::on_sent(backend::cookie c) {
  if (const auto found = owner_.posted_.find(c); found != owner_.posted_.end() && --found->second == 0)
    owner_.posted_.erase(found);
  to->on_sent(c);
}

void sim_link::pass_time(backend::frame_sink& sink) {
  memory_.advance();
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t left = waiting_.size(); left > 0 && !waiting_.empty(); --left) {
    waiting w = waiting_.front();
    waiting_.pop_front();
    if (w.turns > 0) --w.turns;
    if (memory_.quiet(w.id) && (w.turns == 0 || now >= w.by))
      sink.on_quiet(w.id);
    else
      waiting_.push_back(w);
  }
  memory_.ended().drain([&](backend::cookie id, std::error_code error) {
    if (fuse_ > 0 && faults::enabled()) --fuse_;
    sink.on_direct(id, error);
  });
}

std::error_code sim_link::flush(backend::frame_sink& sink) {
  if (dead_ || must_die()) return die(sink);
  pass_time(sink);
  filter_.to = &sink;
  const std::error_code error = frames_->flush(filter_);
  failed_ = failed_ || error;
  return error;
}

backend::link::polled sim_link::poll(backend::frame_sink& sink, unsigned budget) {
  polled out;
  if (dead_ || must_die()) {
    out.error = die(sink);
    return out;
  }
  pass_time(sink);
  if (hold_ > 0) {
    --hold_;
    return out;
  }
  if (random_() % 4 == 0) hold_ = static_cast<unsigned>(random_() % 6);
  filter_.to = &sink;
  out = frames_->poll(filter_, budget);
  failed_ = failed_ || out.error;
  return out;
}

bool sim_link::quiesce(backend::cookie c) {
  if (dead_) return true;
  const bool posted = posted_.erase(c) > 0;
  frames_->quiesce(c);
  const bool late = posted && random_() % 2 == 0;
  if (memory_.quiesce(c) && !late) return true;
  waiting_.push_back(
      {c, static_cast<unsigned>(random_() % 8), std::chrono::steady_clock::now() + sim_memory::quiesce_bound / 2});
  return false;
}

backend::wait_handle sim_link::arm() {
  const bool awake = dead_ || hold_ > 0 || !waiting_.empty() || memory_.busy() || must_die();
  return awake ? backend::wait_handle{} : control_->wrap(frames_->arm());
}

void sim_link::close() {
  if (closed_) return;
  closed_ = dead_ = true;
  // First the memory of both directions, then the news: a peer that knows has nothing to fear any more.
  memory_.close();
  frames_->close();
  waiting_.clear();
  posted_.clear();
}

}  // namespace kfx::test
