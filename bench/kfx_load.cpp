// SPDX-License-Identifier: BSD-2-Clause
#include "kfx_load.hpp"

#include <chrono>
#include <thread>

namespace bench {
namespace {

double since(kfx::clock::time_point t) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(kfx::clock::now() - t).count());
}

constexpr std::size_t memory_size = 64u << 20;
constexpr char ping[8] = {'p'};

}  // namespace

server::server(kfx::progress mode, const std::string& listen)
    : mode_(mode),
      memory_(memory_size),
      node_({.listen = {listen}, .progress = mode}),
      region_(node_.share(kfx::mutable_buffer(memory_), kfx::access::read_write)) {
  node_.publish("memory", region_);
  node_.on_message([this](kfx::message m) {
    static const char pong[8] = {'p'};
    const char kind = static_cast<char>(m.header()[0]);
    if (kind == 'p') m.from().send(pong).detach();
    if (kind == 'q') over_ = true;
  });
}

void server::serve() {
  over_ = false;
  while (!over_) {
    if (mode_ == kfx::progress::caller)
      node_.poll();
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // The last answers leave before the process is asked for something else.
  for (int i = 0; i < 1000 && mode_ == kfx::progress::caller; ++i) node_.poll();
}

client::client(kfx::progress mode, const std::string& address)
    : mode_(mode), node_({.progress = mode}), peer_(node_.at(address)), buffer_(memory_size) {
  node_.on_message([this](kfx::message m) {  // a pong: the next ping, or the end
    const unsigned left = left_.load(std::memory_order_relaxed) - 1;
    if (left != 0) m.from().send(ping).detach();
    left_.store(left, std::memory_order_release);
    if (left == 0) left_.notify_one();
  });
  memory_ = peer_.open("memory").complete().value();
}

double client::one_way(unsigned n) {
  left_.store(n, std::memory_order_relaxed);
  const auto t = kfx::clock::now();
  peer_.send(ping).detach();
  for (unsigned left = n; left != 0; left = left_.load(std::memory_order_acquire)) {
    if (mode_ == kfx::progress::caller)
      node_.poll();
    else
      left_.wait(left, std::memory_order_acquire);
  }
  return since(t) / n / 2;
}

double client::write_done(std::size_t bytes, unsigned n) {
  const kfx::const_buffer from(buffer_.data(), bytes);
  const auto t = kfx::clock::now();
  for (unsigned i = 0; i < n; ++i) peer_.write(from, memory_).complete().value();
  return since(t) / n;
}

double client::send_done(std::size_t bytes, unsigned n) {
  const kfx::const_buffer from(buffer_.data(), bytes);
  const auto t = kfx::clock::now();
  for (unsigned i = 0; i < n; ++i) peer_.send({}, from).complete().value();
  return since(t) / n;
}

/// Keeps `depth` ops under way until `n` are done; ns for all.
template <class Start>
double client::pipeline(unsigned depth, unsigned n, Start start) {
  std::vector<kfx::op<kfx::done>> ops(depth);
  const auto t = kfx::clock::now();
  for (unsigned i = 0; i < n; ++i) {
    kfx::op<kfx::done>& o = ops[i % depth];
    if (o.valid()) o.complete().value();
    o = start(i);
  }
  for (auto& o : ops)
    if (o.valid()) o.complete().value();
  return since(t);
}

double client::writes(std::size_t bytes, unsigned depth, unsigned n) {
  const double ns = pipeline(depth, n, [&](unsigned i) {
    const std::size_t at = (i % depth) * bytes;
    return peer_.write(kfx::const_buffer(buffer_.data() + at, bytes), memory_.at(at));
  });
  return static_cast<double>(bytes) * n / ns;
}

double client::reads(std::size_t bytes, unsigned depth, unsigned n) {
  const double ns = pipeline(depth, n, [&](unsigned i) {
    const std::size_t at = (i % depth) * bytes;
    return peer_.read(kfx::mutable_buffer(buffer_.data() + at, bytes), memory_.at(at));
  });
  return static_cast<double>(bytes) * n / ns;
}

double client::sends(unsigned depth, unsigned n) {
  static const char word[8] = {'m'};
  return n / pipeline(depth, n, [&](unsigned) { return peer_.send(word); }) * 1000;
}

void client::quit() { (void)peer_.send(std::string_view("q")).complete(); }

}  // namespace bench
