// SPDX-License-Identifier: BSD-2-Clause
// Arbitrary bytes, arbitrarily split, through the receiving half of the framer; then what came through is sent.
//
// Input: one byte gives the number n of steps (1 to 32), n steps of two bytes each, the rest is the stream. A step
// says how many bytes a call moves and what the sink does.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "wire/frame.hpp"
#include "wire/stream_link.hpp"

namespace {

using namespace kfx;

void require(bool holds) {
  if (!holds) std::abort();
}

struct script {
  const std::uint8_t* steps;
  std::size_t count;
  std::size_t at = 0;

  std::uint16_t next() {
    const std::uint8_t* s = steps + 2 * (at++ % count);
    return static_cast<std::uint16_t>(s[0] | s[1] << 8);
  }
  /// Small numbers and large ones.
  std::size_t amount() {
    const std::uint16_t s = next();
    return std::size_t{1} + ((s & 0xfffu) << ((s >> 12) & 7));
  }
};

class fuzzed_stream final : public backend::byte_stream {
 public:
  fuzzed_stream(script& s, const_buffer in) : script_(s), in_(in) {}

  moved send(std::span<const ::iovec> pieces) noexcept override {
    require(!pieces.empty() && pieces.size() <= 64);
    return each(pieces, script_.amount(), [this](const ::iovec& p, std::size_t n) {
      const auto* from = static_cast<const std::byte*>(p.iov_base);
      sent.insert(sent.end(), from, from + n);
    });
  }
  moved recv(std::span<const ::iovec> pieces) noexcept override {
    require(!pieces.empty() && pieces.size() <= 64);
    if (in_.empty()) return {0, std::make_error_code(std::errc::connection_reset)};
    return each(pieces, std::min(script_.amount(), in_.size()), [this](const ::iovec& p, std::size_t n) {
      std::memcpy(p.iov_base, in_.data(), n);
      in_ = in_.subspan(n);
    });
  }
  int native_handle() const noexcept override { return -1; }
  void close() noexcept override {}
  std::string describe() const override { return "fuzzed"; }

  std::vector<std::byte> sent;

 private:
  template <class F>
  moved each(std::span<const ::iovec> pieces, std::size_t most, F f) noexcept {
    moved m;
    std::size_t asked = 0;
    for (const ::iovec& p : pieces) {
      asked += p.iov_len;
      const std::size_t n = std::min(p.iov_len, most - m.bytes);
      if (n > 0) f(p, n);
      m.bytes += n;
    }
    require(asked > 0);  // a call that asks for nothing would look like a full stream
    return m;
  }

  script& script_;
  const_buffer in_;
};

/// Whole frames, in the order and with the bytes of the stream; sends each back by one of the two ways.
class fuzzed_sink final : public backend::frame_sink {
 public:
  fuzzed_sink(script& s, const_buffer stream) : script_(s), stream_(stream) {}

  bool on_frame(const_buffer head, const_buffer body) override {
    require(landing_.empty());
    check_head(head, body.size());
    if (!body.empty()) require(std::memcmp(body.data(), stream_.data() + at_, body.size()) == 0);
    at_ += body.size();
    send_back(head, body);
    return accepts();
  }
  std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t body) override {
    require(landing_.empty() && head.size() + body > backend::whole_limit);
    check_head(head, body);
    body_ = body;
    const std::uint16_t s = script_.next();
    const std::size_t capacity = s % 3 == 0 ? body * (s % 256) / 256 : body + s % 2;
    memory_.reset(new std::byte[capacity]);  // exactly: a sanitizer sees one byte too many
    const std::size_t pieces = 1 + (s >> 8);
    for (std::size_t i = 0; i < pieces; ++i) {
      const std::size_t from = capacity * i / pieces;
      landing_.emplace_back(memory_.get() + from, capacity * (i + 1) / pieces - from);
    }
    return landing_;
  }
  bool on_bulk_done() override {
    require(!landing_.empty());
    for (std::size_t at = 0, i = 0; memory_ && i < landing_.size(); at += landing_[i++].size()) {
      const std::size_t n = at < body_ ? std::min(landing_[i].size(), body_ - at) : 0;
      if (n > 0) require(std::memcmp(landing_[i].data(), stream_.data() + at_ + at, n) == 0);
    }
    at_ += body_;
    landing_.clear();
    return accepts();
  }
  void on_sent(backend::cookie c) override {
    require(c < lent_.size() && lent_[c]);
    lent_[c].reset();
  }
  void on_quiet(backend::cookie) override { std::abort(); }
  void on_direct(backend::cookie, std::error_code) override { std::abort(); }

  /// Takes memory back that the link may hold.
  void disturb() {
    const std::uint16_t s = script_.next();
    if (s % 8 == 0) {
      link->divert();
      memory_.reset();
      if (!landing_.empty()) landing_.assign(1, mutable_buffer{});
    }
    if (s % 5 == 0 && !lent_.empty()) {
      const std::size_t c = s % lent_.size();
      require(link->quiesce(c));
      lent_[c].reset();
    }
  }
  void finish() const {
    for (const auto& l : lent_) require(!l);
  }

  backend::link* link = nullptr;
  std::vector<std::byte> want;

 private:
  void check_head(const_buffer head, std::size_t body) {
    require(head.size() >= wire::head_size && head.size() <= wire::max_head && body <= limits::frame);
    require(head.size() + body == wire::load<std::uint32_t>(head.data()));
    require(at_ + head.size() <= stream_.size());
    require(std::memcmp(head.data(), stream_.data() + at_, head.size()) == 0);
    at_ += head.size();
    require(!wire::to_string(wire::load<wire::head>(head.data())).empty());
  }
  bool accepts() { return script_.next() % 64 != 0; }

  void send_back(const_buffer head, const_buffer body) {
    if (script_.next() % 2) {
      const auto window = link->reserve(head.size() + body.size());
      if (window.empty()) return;
      std::memcpy(window.data(), head.data(), head.size());
      if (!body.empty()) std::memcpy(window.data() + head.size(), body.data(), body.size());
      link->commit(head.size() + body.size());
    } else {
      auto copy = std::make_unique<std::vector<std::byte>>(body.begin(), body.end());
      const const_buffer all(*copy);
      const const_buffer parts[] = {all.first(all.size() / 3), all.subspan(all.size() / 3)};
      if (!link->post(head, parts, lent_.size())) return;
      lent_.push_back(std::move(copy));
    }
    want.insert(want.end(), head.begin(), head.end());
    want.insert(want.end(), body.begin(), body.end());
  }

  script& script_;
  const_buffer stream_;
  std::size_t at_ = 0;  ///< bytes of the stream that were handed over
  std::size_t body_ = 0;
  std::unique_ptr<std::byte[]> memory_;
  std::vector<mutable_buffer> landing_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> lent_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::size_t count = std::min<std::size_t>(1 + data[0] % 32, (size - 1) / 2);
  script steps{data + 1, count};
  const const_buffer stream = std::as_bytes(std::span(data + 1 + 2 * count, size - 1 - 2 * count));

  fuzzed_sink sink(steps, stream);
  auto owned = std::make_unique<fuzzed_stream>(steps, stream);
  fuzzed_stream& bytes = *owned;
  wire::stream_link link(std::move(owned));
  sink.link = &link;
  for (backend::link::polled p; !p.error;) {
    const unsigned budget = 1 + steps.next() % 16;
    p = link.poll(sink, budget);
    require(p.frames <= budget);
    sink.disturb();
    if (steps.next() % 4 == 0) require(!link.flush(sink));
  }
  while (bytes.sent.size() < sink.want.size()) require(!link.flush(sink));
  require(bytes.sent == sink.want);
  sink.finish();
  return 0;
}
