// SPDX-License-Identifier: BSD-2-Clause
#include "side.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>

namespace kfx_test {

using kfx::backend::cookie;

guarded::guarded(std::size_t size) : size_(std::max<std::size_t>(size, 1)) {
  void* p = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(p != MAP_FAILED);
  data_ = static_cast<std::byte*>(p);
}

lent::lent(rng& r, std::size_t size, std::size_t count) {
  std::vector<std::size_t> cuts{0, size};
  for (std::size_t i = 1; i < count; ++i) cuts.push_back(below(r, size + 1));
  std::sort(cuts.begin(), cuts.end());
  const std::size_t spacing = below(r, 3) == 0 ? 0 : 1 + below(r, 64);
  memory = std::make_unique<guarded>(size + spacing * cuts.size());
  std::fill_n(memory->data(), memory->size(), gap);
  std::size_t at = 0;
  for (std::size_t i = 1; i < cuts.size(); ++i) {
    fragments.emplace_back(memory->data() + at, cuts[i] - cuts[i - 1]);
    at += fragments.back().size() + spacing;
  }
}

bool lent::gaps_intact() const {
  const std::byte* at = memory->data();
  for (const auto& f : fragments) {
    if (std::any_of(at, static_cast<const std::byte*>(f.data()), [](std::byte b) { return b != gap; })) return false;
    at = f.data() + f.size();
  }
  return std::all_of(at, static_cast<const std::byte*>(memory->data() + memory->size()),
                     [](std::byte b) { return b == gap; });
}

std::size_t lent::capacity() const {
  std::size_t n = 0;
  for (const auto& f : fragments) n += f.size();
  return n;
}

recipe side::next_recipe(std::size_t most) {
  recipe c;
  c.id = next_id_++;
  c.words = static_cast<unsigned>(4 + below(random_, 6));
  c.body = std::min<std::size_t>(log_uniform(random_, 21), most);
  return c;
}

bool side::commit_some() {
  const std::size_t most = below(random_, 4) == 0 ? kfx::wire::chunk_size : 4096;
  std::size_t used = 0;
  recipe c = next_recipe(most - kfx::wire::max_head);
  const auto window = link.reserve(c.size());
  if (window.empty()) return false;
  REQUIRE(window.size() >= c.size());
  for (;;) {
    const bytes whole = c.whole();
    std::copy(whole.begin(), whole.end(), window.begin() + static_cast<std::ptrdiff_t>(used));
    used += c.size();
    peer->expected_.push_back(c);
    c = next_recipe(512);
    if (below(random_, 4) == 0 || c.size() > window.size() - used) break;
  }
  link.commit(used);
  return true;
}

bool side::post_one() {
  const recipe c = next_recipe(kfx::limits::frame);
  return send(c, 1 + std::min<std::size_t>(log_uniform(random_, 9), 255));
}

bool side::send(const recipe& c, std::size_t fragments) {
  lent body(random_, c.body, fragments);
  std::size_t at = 0;
  std::vector<kfx::const_buffer> list;
  for (const auto& f : body.fragments) {
    fill_pattern(f, c.id, at);
    at += f.size();
    list.emplace_back(f);
  }
  if (!link.post(c.head(), list, c.id)) return false;
  peer->expected_.push_back(c);
  lent_out_.emplace(c.id, std::move(body));
  return true;
}

/// What was lent is the owner's again: whoever still reads it gets rubbish, or a fault.
void side::ruin(lent& l) {
  std::fill_n(l.memory->data(), l.memory->size(), std::byte{0xdd});
  if (below(random_, 2) == 0) l.memory->forbid();
}

void side::quiesce_one() {
  if (lent_out_.empty()) return;
  auto which = lent_out_.begin();
  std::advance(which, static_cast<std::ptrdiff_t>(below(random_, lent_out_.size())));
  REQUIRE(link.quiesce(which->first));
  ruin(which->second);
  lent_out_.erase(which);
  ++quiesced;
}

void side::divert() {
  link.divert();
  if (!landing_ || landing_gone_) return;
  landing_gone_ = true;
  landing_->memory->forbid();
  ++diverted;
}

void side::move(unsigned budget) {
  REQUIRE_FALSE(link.flush(*this));
  const auto p = link.poll(*this, budget);
  REQUIRE(p.frames <= budget);
  REQUIRE_FALSE(p.error);
}

void side::step() {
  switch (below(random_, 8)) {
    case 0:
    case 1:
      commit_some();
      break;
    case 2:
      post_one();
      break;
    case 3:
      REQUIRE_FALSE(link.flush(*this));
      break;
    case 4:
      if (below(random_, 4) == 0) quiesce_one();
      break;
    case 5:
      if (below(random_, 4) == 0) divert();
      break;
    default:
      move(static_cast<unsigned>(1 + below(random_, 64)));
      break;
  }
}

void side::check_head(kfx::const_buffer head, std::size_t body) {
  REQUIRE_FALSE(expected_.empty());
  const recipe& c = expected_.front();
  const bytes want = c.head();
  REQUIRE(std::equal(head.begin(), head.end(), want.begin(), want.end()));
  REQUIRE(body == c.body);
}

bool side::on_frame(kfx::const_buffer head, kfx::const_buffer body) {
  REQUIRE_FALSE(landing_);
  check_head(head, body.size());
  REQUIRE(is_pattern(body, expected_.front().id));
  expected_.pop_front();
  return true;
}

std::span<const kfx::mutable_buffer> side::on_bulk(kfx::const_buffer head, std::size_t body) {
  REQUIRE_FALSE(landing_);
  REQUIRE(head.size() + body > kfx::backend::whole_limit);
  check_head(head, body);
  std::size_t size = body;
  if (short_landings && below(random_, 3) == 0) size = below(random_, body + 100);
  landing_ = std::make_unique<lent>(random_, size, 1 + std::min<std::size_t>(log_uniform(random_, 9), 255));
  landing_gone_ = false;
  ++bulk_count;
  return landing_->fragments;
}

bool side::on_bulk_done() {
  REQUIRE(landing_);
  const recipe c = expected_.front();
  expected_.pop_front();
  if (!landing_gone_) {
    std::size_t at = 0;
    for (const auto& f : landing_->fragments) {
      const std::size_t n = std::min(f.size(), c.body - at);
      REQUIRE(is_pattern(f.first(n), c.id, at));
      REQUIRE(
          std::all_of(f.begin() + static_cast<std::ptrdiff_t>(n), f.end(), [](std::byte b) { return b == lent::gap; }));
      at += n;
    }
    REQUIRE(landing_->gaps_intact());
  }
  landing_.reset();
  return true;
}

void side::on_sent(cookie c) {
  const auto which = lent_out_.find(c);
  REQUIRE(which != lent_out_.end());
  ruin(which->second);
  lent_out_.erase(which);
  ++sent_count;
}

void side::on_quiet(cookie) { FAIL("a stream is quiet at once"); }
void side::on_direct(cookie, std::error_code) { FAIL("a stream has no remote memory"); }

void drain(side& a, side& b) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!a.idle() || !b.idle()) {
    a.move(64);
    b.move(64);
    if (std::chrono::steady_clock::now() > until)
      FAIL("stalled: " << a.expected() << " and " << b.expected() << " frames are missing");
  }
}

}  // namespace kfx_test
