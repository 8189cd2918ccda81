// SPDX-License-Identifier: BSD-2-Clause
#include "support/faulty_backend.hpp"

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "support/faults.hpp"
#include "wire/make_link.hpp"

namespace kfx::test {
namespace {

using kfx::backend::channel;
using kfx::backend::context;
using kfx::backend::failure;
using kfx::backend::uri;
using connect_outcome = std::variant<channel, failure>;

/// What the inner backend sees, and the faults that were asked for; or why the query cannot be read.
struct request {
  uri inner;
  fault_plan plan;
};

bool take_number(uri& from, const char* key, std::uint64_t& to, std::string& why) {
  const auto found = from.query.find(key);
  if (found == from.query.end()) return true;
  const std::string text = found->second;
  from.query.erase(found);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  if (error == std::errc() && end == text.data() + text.size()) return true;
  why = "\"" + std::string(key) + "=" + text + "\" is no number";
  return false;
}

std::variant<request, failure> understand(const uri& at, const std::string& inner) {
  request r{at, {}};
  r.inner.scheme = inner;
  std::uint64_t cut = 0, delay = 0, partial = 0, lost_acks = 0, dup = 0;
  std::string why;
  const bool good = take_number(r.inner, "seed", r.plan.seed, why) && take_number(r.inner, "cut", cut, why) &&
                    take_number(r.inner, "delay", delay, why) && take_number(r.inner, "partial", partial, why) &&
                    take_number(r.inner, "lost_acks", lost_acks, why) && take_number(r.inner, "dup", dup, why);
  if (!good) return failure{errc::bad_uri, at.to_string() + ": " + why};
  r.plan.lost_acks = lost_acks > 0;
  r.plan.cut = static_cast<unsigned>(cut > 0 ? cut : r.plan.lost_acks ? 200 : 0);
  r.plan.delay = static_cast<unsigned>(delay);
  r.plan.partial = partial > 0;
  r.plan.dup = dup > 0;
  return r;
}

/// Links of one seed must differ, or a fault that hits once would hit every attempt in the same way.
std::uint64_t next_seed(const fault_plan& plan) {
  static std::atomic<std::uint64_t> links{0};
  return plan.seed * 0x9e3779b97f4a7c15u + ++links;
}

channel with_faults(channel inner, const request& r) {
  return std::make_unique<faulty_link>(wire::make_link(std::move(inner)), r.plan, next_seed(r.plan),
                                       r.inner.to_string());
}

/// A connection that nobody will use: to the accepting side a stranger who says nothing and goes away again.
void keep_silent(context& ctx, channel stranger) {
  auto timer = std::make_shared<boost::asio::steady_timer>(ctx.io, std::chrono::milliseconds(50));
  timer->async_wait([timer, stranger = std::move(stranger)](const boost::system::error_code&) {});
}

/// Connects twice, and goes on with either.
class twice : public std::enable_shared_from_this<twice> {
 public:
  twice(context& ctx, kfx::backend::backend& inner, request r, kfx::backend::on_connected done)
      : ctx_(ctx), inner_(inner), request_(std::move(r)), done_(std::move(done)), random_(next_seed(request_.plan)) {}

  void start() {
    inner_.connect(ctx_, request_.inner, [self = shared_from_this()](connect_outcome first) {
      if (std::holds_alternative<failure>(first) || !faults::enabled()) return self->finish(std::move(first));
      self->first_ = std::move(std::get<channel>(first));
      self->inner_.connect(self->ctx_, self->request_.inner, [self](connect_outcome second) {
        if (auto* c = std::get_if<channel>(&second)) {
          ++faults::counts().duplicates;
          if (self->random_() % 2) std::swap(*c, self->first_);
          if (self->random_() % 2) keep_silent(self->ctx_, std::move(*c));
        }
        self->finish(std::move(self->first_));
      });
    });
  }

 private:
  void finish(connect_outcome outcome) {
    if (auto* c = std::get_if<channel>(&outcome)) outcome = with_faults(std::move(*c), request_);
    done_(std::move(outcome));
  }

  context& ctx_;
  kfx::backend::backend& inner_;
  const request request_;
  const kfx::backend::on_connected done_;
  std::mt19937_64 random_;
  channel first_;
};

class faulty_listener final : public kfx::backend::listener {
 public:
  explicit faulty_listener(std::unique_ptr<kfx::backend::listener> inner) : inner_(std::move(inner)) {}
  std::string address() const override { return "faulty+" + inner_->address(); }

 private:
  const std::unique_ptr<kfx::backend::listener> inner_;
};

}  // namespace

bool faulty_backend::available(std::string* why) const {
  const auto* const inner = kfx::backend::find_backend(inner_);
  if (!inner && why) *why = "there is no backend \"" + inner_ + "\"";
  return inner && inner->available(why);
}

void faulty_backend::connect(context& ctx, const uri& at, kfx::backend::on_connected done) {
  auto understood = understand(at, inner_);
  auto* const inner = kfx::backend::find_backend(inner_);
  if (!inner) understood = failure{errc::no_backend, "there is no backend \"" + inner_ + "\""};
  if (auto* why = std::get_if<failure>(&understood)) {
    boost::asio::post(ctx.io, [done = std::move(done), why = std::move(*why)] { done(why); });
    return;
  }
  auto& r = std::get<request>(understood);
  if (r.plan.dup) return std::make_shared<twice>(ctx, *inner, std::move(r), std::move(done))->start();
  inner->connect(ctx, r.inner, [r, done = std::move(done)](connect_outcome outcome) {
    if (auto* c = std::get_if<channel>(&outcome)) outcome = with_faults(std::move(*c), r);
    done(std::move(outcome));
  });
}

std::variant<std::unique_ptr<kfx::backend::listener>, failure> faulty_backend::listen(
    context& ctx, const uri& at, kfx::backend::on_accepted accepted) {
  auto understood = understand(at, inner_);
  if (auto* why = std::get_if<failure>(&understood)) return std::move(*why);
  auto* const inner = kfx::backend::find_backend(inner_);
  if (!inner) return failure{errc::no_backend, "there is no backend \"" + inner_ + "\""};
  const request r = std::get<request>(understood);
  auto listening = inner->listen(
      ctx, r.inner, [r, accepted = std::move(accepted)](channel c) { accepted(with_faults(std::move(c), r)); });
  if (auto* why = std::get_if<failure>(&listening)) return std::move(*why);
  return std::make_unique<faulty_listener>(std::move(std::get<std::unique_ptr<kfx::backend::listener>>(listening)));
}

}  // namespace kfx::test
