// SPDX-License-Identifier: BSD-2-Clause
#include "messages.hpp"

#include <bit>
#include <cstring>

namespace lnet::selftest {

namespace {

static_assert(std::endian::native == std::endian::little, "a big-endian port needs byte swaps here");

constexpr std::uint16_t reply_mark = 0x8000;

class writer {
 public:
  explicit writer(std::span<std::byte> out) noexcept : out_(out) {}

  template <class Int>
  void number(Int value) noexcept {
    if (out_.size() - at_ < sizeof(Int) || !fits_) {
      fits_ = false;
      return;
    }
    std::memcpy(out_.data() + at_, &value, sizeof(Int));
    at_ += sizeof(Int);
  }
  void text(const std::string& s) noexcept {
    number(static_cast<std::uint32_t>(s.size()));
    if (out_.size() - at_ < s.size()) fits_ = false;
    if (!fits_) return;
    if (!s.empty()) std::memcpy(out_.data() + at_, s.data(), s.size());
    at_ += s.size();
  }
  /// 0 when it was too much.
  std::size_t size() const noexcept { return fits_ ? at_ : 0; }

 private:
  std::span<std::byte> out_;
  std::size_t at_ = 0;
  bool fits_ = true;
};

class reader {
 public:
  explicit reader(std::span<const std::byte> in) noexcept : in_(in) {}

  template <class Int>
  Int number() noexcept {
    if (in_.size() < sizeof(Int)) {
      good_ = false;
      in_ = {};
      return 0;
    }
    Int v;
    std::memcpy(&v, in_.data(), sizeof(Int));
    in_ = in_.subspan(sizeof(Int));
    return v;
  }
  std::uint8_t u8() noexcept { return number<std::uint8_t>(); }
  std::uint16_t u16() noexcept { return number<std::uint16_t>(); }
  std::uint32_t u32() noexcept { return number<std::uint32_t>(); }
  std::uint64_t u64() noexcept { return number<std::uint64_t>(); }
  /// Names are shown on terminals: printable ASCII.
  std::string text(std::size_t most) {
    const std::size_t length = u32();
    if (length > most || length > in_.size()) good_ = false;
    if (!good_) return {};
    std::string s(reinterpret_cast<const char*>(in_.data()), length);
    in_ = in_.subspan(length);
    for (const char c : s) need(c >= ' ' && c <= '~');
    return s;
  }
  void need(bool condition) noexcept { good_ = good_ && condition; }
  bool good() const noexcept { return good_; }
  bool at_end() const noexcept { return good_ && in_.empty(); }
  std::size_t left() const noexcept { return in_.size(); }

 private:
  std::span<const std::byte> in_;
  bool good_ = true;
};

bool known(std::uint16_t k) noexcept {
  return (k >= static_cast<std::uint16_t>(kind::ping) && k <= static_cast<std::uint16_t>(kind::brw)) ||
         (k >= static_cast<std::uint16_t>(kind::join) && k <= static_cast<std::uint16_t>(kind::statistics));
}

bool good_extent(std::uint32_t length, std::uint32_t offset) noexcept {
  return length >= 1 && length <= mtu && offset % 8 == 0 && offset < max_offset;
}

selftest::check read_check(reader& r) noexcept {
  const std::uint8_t c = r.u8();
  r.need(c <= static_cast<std::uint8_t>(check::full));
  return r.good() ? static_cast<check>(c) : check::none;
}

operation_kind read_operation(reader& r, operation_kind least) noexcept {
  const std::uint8_t o = r.u8();
  r.need(o >= static_cast<std::uint8_t>(least) && o <= static_cast<std::uint8_t>(operation_kind::write));
  return r.good() ? static_cast<operation_kind>(o) : least;
}

void put(writer&, const empty_body&) noexcept {}
void get(reader&, empty_body&) noexcept {}

void put(writer& w, const ping_body& b) noexcept { w.number(b.number); }
void get(reader& r, ping_body& b) noexcept { b.number = r.u64(); }

void put(writer& w, const brw_request& b) noexcept {
  w.number(static_cast<std::uint8_t>(b.direction));
  w.number(static_cast<std::uint8_t>(b.check));
  w.number(std::uint16_t{0});
  w.number(b.length);
  w.number(b.offset);
  w.number(std::uint32_t{0});
  w.number(b.seed);
}
void get(reader& r, brw_request& b) noexcept {
  b.direction = read_operation(r, operation_kind::read);
  b.check = read_check(r);
  r.need(r.u16() == 0);
  b.length = r.u32();
  b.offset = r.u32();
  r.need(r.u32() == 0);
  b.seed = r.u64();
  r.need(good_extent(b.length, b.offset));
}

void put(writer& w, const brw_reply& b) noexcept {
  w.number(b.seed);
  w.number(b.wrong_at);
  w.number(b.moved);
}
void get(reader& r, brw_reply& b) noexcept {
  b.seed = r.u64();
  b.wrong_at = r.u32();
  b.moved = r.u32();
  r.need(b.moved <= mtu && (b.wrong_at == nothing_wrong || b.wrong_at < mtu));
}

void put(writer& w, const join_request& b) noexcept {
  w.number(b.timeout_s);
  w.number(std::uint32_t{b.force});
  w.text(b.name);
}
void get(reader& r, join_request& b) {
  b.timeout_s = r.u32();
  const std::uint32_t force = r.u32();
  r.need(b.timeout_s >= 1 && b.timeout_s <= 86400 && force <= 1);
  b.force = force == 1;
  b.name = r.text(max_name);
  r.need(!b.name.empty());
}

void put(writer& w, const session_info& b) noexcept {
  w.number(b.console.packed());
  w.number(b.stamp);
  w.number(b.timeout_s);
  w.number(b.running);
  w.number(b.uptime_ms);
  w.text(b.name);
}
void get(reader& r, session_info& b) {
  b.console = nid::unpack(r.u64());
  b.stamp = r.u64();
  b.timeout_s = r.u32();
  b.running = r.u32();
  b.uptime_ms = r.u64();
  b.name = r.text(max_name);
}

void put(writer& w, const test_request& b) noexcept {
  w.number(b.batch);
  w.number(b.test);
  w.number(static_cast<std::uint8_t>(b.operation));
  w.number(static_cast<std::uint8_t>(b.check));
  w.number(std::uint16_t{0});
  w.number(b.size);
  w.number(b.offset);
  w.number(b.concurrency);
  w.number(b.rpc_timeout_ms);
  w.number(b.loop);
  w.number(static_cast<std::uint32_t>(b.servers.size()));
  for (const nid& n : b.servers) w.number(n.packed());
}
void get(reader& r, test_request& b) {
  b.batch = r.u32();
  b.test = r.u32();
  b.operation = read_operation(r, operation_kind::ping);
  b.check = read_check(r);
  r.need(r.u16() == 0);
  b.size = r.u32();
  b.offset = r.u32();
  b.concurrency = r.u32();
  b.rpc_timeout_ms = r.u32();
  b.loop = r.u64();
  const std::uint32_t count = r.u32();
  r.need(b.operation == operation_kind::ping || good_extent(b.size, b.offset));
  r.need(b.concurrency >= 1 && b.concurrency <= max_concurrency);
  r.need(b.rpc_timeout_ms >= 1 && b.rpc_timeout_ms <= 3'600'000);
  r.need(count >= 1 && count <= max_servers && r.left() == count * sizeof(std::uint64_t));
  if (!r.good()) return;
  b.servers.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) b.servers.push_back(nid::unpack(r.u64()));
}

void put(writer& w, const batch_request& b) noexcept {
  w.number(b.batch);
  w.number(std::uint32_t{0});
}
void get(reader& r, batch_request& b) noexcept {
  b.batch = r.u32();
  r.need(r.u32() == 0);
}

constexpr std::size_t result_size = 2 * 4 + 6 * 8;

void put(writer& w, const batch_results& b) noexcept {
  w.number(static_cast<std::uint32_t>(b.tests.size()));
  w.number(std::uint32_t{0});
  for (const test_result& t : b.tests) {
    w.number(t.test);
    w.number(t.active);
    for (const std::uint64_t v : {t.completed, t.failed, t.expired, t.corrupt, t.bytes, t.elapsed_us}) w.number(v);
  }
}
void get(reader& r, batch_results& b) {
  const std::uint32_t count = r.u32();
  r.need(r.u32() == 0 && count <= max_results && r.left() == count * result_size);
  if (!r.good()) return;
  b.tests.resize(count);
  for (test_result& t : b.tests) {
    t.test = r.u32();
    t.active = r.u32();
    for (std::uint64_t* v : {&t.completed, &t.failed, &t.expired, &t.corrupt, &t.bytes, &t.elapsed_us}) *v = r.u64();
  }
}

/// Calls `f` with each number in the order of the wire.
template <class Statistics, class F>
void each(Statistics& s, F f) {
  for (auto* v :
       {&s.now_us, &s.rpcs_sent, &s.rpcs_completed, &s.rpcs_received, &s.dropped, &s.expired, &s.errors, &s.ping_errors,
        &s.brw_errors, &s.bytes_sent, &s.bytes_received, &s.lnet_sent, &s.lnet_received, &s.lnet_dropped}) {
    f(*v);
  }
}
void put(writer& w, const node_statistics& b) noexcept {
  each(b, [&w](std::uint64_t v) { w.number(v); });
}
void get(reader& r, node_statistics& b) noexcept {
  each(b, [&r](std::uint64_t& v) { v = r.u64(); });
}

static_assert(head_size + 24 <= small_message, "brw's bodies are small messages");
static_assert(head_size + 44 + max_servers * 8 <= large_message);
static_assert(head_size + 8 + max_results * result_size <= large_message);

}  // namespace

const char* to_string(kind k) noexcept {
  switch (k) {
    case kind::ping:
      return "ping";
    case kind::brw:
      return "brw";
    case kind::join:
      return "join";
    case kind::leave:
      return "leave";
    case kind::status:
      return "status";
    case kind::add_test:
      return "add_test";
    case kind::run_batch:
      return "run";
    case kind::stop_batch:
      return "stop";
    case kind::query_batch:
      return "query";
    case kind::statistics:
      return "statistics";
  }
  return "unknown";
}

const char* to_string(operation_kind o) noexcept {
  switch (o) {
    case operation_kind::ping:
      return "ping";
    case operation_kind::read:
      return "brw read";
    case operation_kind::write:
      return "brw write";
  }
  return "unknown";
}

namespace {

void write_head(std::span<std::byte> out, const head& h, std::size_t length) noexcept {
  writer w(out);
  w.number(magic);
  w.number(version);
  w.number(static_cast<std::uint16_t>(static_cast<std::uint16_t>(h.kind) | (h.reply ? reply_mark : 0)));
  w.number(h.rpc);
  w.number(h.session.console.packed());
  w.number(h.session.stamp);
  w.number(h.session.key);
  w.number(h.status);
  w.number(static_cast<std::uint32_t>(length));
  w.number(h.patience_ms);
  w.number(std::uint32_t{0});
}

}  // namespace

void rename(std::span<std::byte> message, const head& h) noexcept {
  if (message.size() >= head_size) write_head(message.first(head_size), h, message.size() - head_size);
}

template <class Body>
std::size_t encode(const head& h, const Body& body, std::span<std::byte> out) noexcept {
  if (out.size() < head_size) return 0;
  writer content(out.subspan(head_size));
  put(content, body);
  if (content.size() == 0 && !std::is_same_v<Body, empty_body>) return 0;
  write_head(out.first(head_size), h, content.size());
  return head_size + content.size();
}

std::optional<parsed> parse(std::span<const std::byte> bytes) noexcept {
  reader r(bytes);
  parsed p;
  r.need(r.u32() == magic);
  r.need(r.u16() == version);
  const std::uint16_t marked = r.u16();
  p.head.rpc = r.u64();
  p.head.session.console = nid::unpack(r.u64());
  p.head.session.stamp = r.u64();
  p.head.session.key = r.u64();
  p.head.status = r.number<std::int32_t>();
  const std::uint32_t length = r.u32();
  p.head.patience_ms = r.u32();
  r.need(r.u32() == 0);
  const auto bare = static_cast<std::uint16_t>(marked & ~reply_mark);
  r.need(known(bare) && length == r.left());
  p.head.reply = (marked & reply_mark) != 0;
  r.need(p.head.status <= 0 && p.head.status > -4096 && (p.head.reply || p.head.status == 0));
  r.need(p.head.rpc >> 63 == 0);
  if (!r.good()) return std::nullopt;
  p.head.kind = static_cast<kind>(bare);
  p.body = bytes.subspan(head_size);
  return p;
}

template <class Body>
std::optional<Body> parse_body(std::span<const std::byte> bytes) {
  reader r(bytes);
  Body body;
  get(r, body);
  if (!r.at_end()) return std::nullopt;
  return body;
}

#define LNET_SELFTEST_BODY(Type)                                                              \
  template std::size_t encode<Type>(const head&, const Type&, std::span<std::byte>) noexcept; \
  template std::optional<Type> parse_body<Type>(std::span<const std::byte>);
LNET_SELFTEST_BODY(empty_body)
LNET_SELFTEST_BODY(ping_body)
LNET_SELFTEST_BODY(brw_request)
LNET_SELFTEST_BODY(brw_reply)
LNET_SELFTEST_BODY(join_request)
LNET_SELFTEST_BODY(session_info)
LNET_SELFTEST_BODY(test_request)
LNET_SELFTEST_BODY(batch_request)
LNET_SELFTEST_BODY(batch_results)
LNET_SELFTEST_BODY(node_statistics)
#undef LNET_SELFTEST_BODY

}  // namespace lnet::selftest
