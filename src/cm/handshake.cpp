// SPDX-License-Identifier: BSD-2-Clause
#include "cm/handshake.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/random.hpp"

namespace kfx::cm {
namespace {

/// Append only; a number is never used for something else.
enum class tag : std::uint16_t {
  node_id = 1,
  incarnation = 2,
  session = 3,
  previous = 4,
  taken = 5,
  credits = 6,
  name = 7,
  host_id = 8,
  process_id = 9,
  scheme = 10,
  address = 11,
  offer = 12,
  refusal = 13,
  reason = 14,
  sentence = 15,
  epoch = 16,
};

enum flag : std::uint16_t { flag_probe = 1, flag_resume = 2, flag_separate = 4, flag_lost = 8 };

constexpr std::size_t id_bytes = 16;
constexpr std::size_t fixed_bytes = 8;

class writer {
 public:
  writer() { bytes_.reserve(1024); }

  template <class T>
  void raw(T v) {
    const auto* p = reinterpret_cast<const std::byte*>(&v);
    bytes_.insert(bytes_.end(), p, p + sizeof v);
  }
  template <class T>
  void number(tag t, T v) {
    if (v == 0) return;
    open(t, sizeof v);
    raw(v);
  }
  void text(tag t, std::string_view s, std::size_t limit = max_text) {
    if (s.empty()) return;
    s = s.substr(0, limit);
    open(t, s.size());
    append(s);
  }
  void id(const std::string& hex);
  void offer_of(const cm::offer& o) {
    if (o.backend.empty() || o.backend.size() > max_text || o.address.size() > max_text) return;
    open(tag::offer, 1 + o.backend.size() + o.address.size());
    raw(static_cast<std::uint8_t>(o.backend.size()));
    append(o.backend);
    append(o.address);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }
  std::size_t size() const { return bytes_.size(); }

 private:
  void open(tag t, std::size_t length) {
    raw(static_cast<std::uint16_t>(t));
    raw(static_cast<std::uint16_t>(length));
  }
  void append(std::string_view s) {
    const auto* p = reinterpret_cast<const std::byte*>(s.data());
    bytes_.insert(bytes_.end(), p, p + s.size());
  }
  std::vector<std::byte> bytes_;
};

int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

void writer::id(const std::string& hex) {
  if (hex.size() != 2 * id_bytes) return;
  std::array<std::uint8_t, id_bytes> bytes{};
  for (std::size_t i = 0; i < id_bytes; ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return;
    bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  open(tag::node_id, id_bytes);
  for (std::uint8_t b : bytes) raw(b);
}

std::string text_of(const_buffer b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// Reads one field after the other; the first that is wrong ends it.
class reader {
 public:
  reader(greeting& out, const_buffer rest) : out_(out), rest_(rest) {}

  bool run() {
    for (std::size_t n = 0; !rest_.empty(); ++n) {
      if (n == max_fields) return fail("it has more than " + std::to_string(max_fields) + " fields");
      if (rest_.size() < 4) return fail("it ends within a field");
      const auto t = wire::load<std::uint16_t>(rest_.data());
      const std::size_t length = wire::load<std::uint16_t>(rest_.data() + 2);
      rest_ = rest_.subspan(4);
      if (rest_.size() < length) return fail("it ends within field " + std::to_string(t));
      const const_buffer value = rest_.first(length);
      rest_ = rest_.subspan(length);
      if (!once(t)) return fail("field " + std::to_string(t) + " occurs twice");
      if (!field(static_cast<tag>(t), value)) return fail("field " + std::to_string(t) + " has a wrong length");
    }
    return true;
  }
  std::string why;

 private:
  bool fail(std::string reason) {
    why = std::move(reason);
    return false;
  }
  /// Addresses and offers are lists, and what is not known may be one.
  bool once(std::uint16_t t) {
    if (t == static_cast<std::uint16_t>(tag::address) || t == static_cast<std::uint16_t>(tag::offer) || t >= 64)
      return true;
    const std::uint64_t bit = std::uint64_t{1} << t;
    const bool fresh = (seen_ & bit) == 0;
    seen_ |= bit;
    return fresh;
  }
  template <class T>
  static bool number(const_buffer v, T& into) {
    if (v.size() != sizeof into) return false;
    into = wire::load<T>(v.data());
    return true;
  }
  static bool text(const_buffer v, std::string& into, std::size_t limit = max_text) {
    if (v.size() > limit) return false;
    into = text_of(v);
    return true;
  }
  bool address(const_buffer v) {
    return !v.empty() && out_.addresses.size() < max_addresses && text(v, out_.addresses.emplace_back());
  }
  bool offered(const_buffer v) {
    if (v.empty() || out_.offers.size() == max_offers) return false;
    const auto name = std::to_integer<std::size_t>(v[0]);
    v = v.subspan(1);
    if (name == 0 || v.size() < name) return false;
    offer& o = out_.offers.emplace_back();
    return text(v.first(name), o.backend) && text(v.subspan(name), o.address);
  }
  bool field(tag t, const_buffer v) {
    std::uint16_t small = 0;
    switch (t) {
      case tag::node_id:
        out_.node_id = base::to_hex(v);
        return v.size() == id_bytes;
      case tag::incarnation:
        return number(v, out_.incarnation);
      case tag::session:
        return number(v, out_.session);
      case tag::previous:
        return number(v, out_.previous);
      case tag::epoch:
        return number(v, out_.epoch);
      case tag::taken:
        return number(v, out_.taken);
      case tag::credits:
        return number(v, out_.credits);
      case tag::name:
        return text(v, out_.name);
      case tag::host_id:
        return text(v, out_.host_id);
      case tag::process_id:
        return text(v, out_.process_id);
      case tag::scheme:
        return text(v, out_.scheme);
      case tag::address:
        return address(v);
      case tag::offer:
        return offered(v);
      case tag::refusal:
        if (!number(v, small)) return false;
        out_.why = small <= static_cast<std::uint16_t>(refusal::lost) ? static_cast<refusal>(small) : refusal::other;
        return true;
      case tag::reason:
        if (!number(v, small)) return false;
        out_.reason = small;
        return true;
      case tag::sentence:
        return text(v, out_.sentence, max_sentence);
    }
    return true;
  }

  greeting& out_;
  const_buffer rest_;
  std::uint64_t seen_ = 0;
};

/// What must be there for anybody to act on it.
std::string missing(const greeting& g) {
  if (g.kind == wire::type::refuse) return {};
  if (g.node_id.empty()) return "it has no node id";
  if (g.incarnation == 0) return "it has no incarnation";
  if (!g.probe && g.session == 0) return "it has no session id";
  return {};
}

void fields(writer& w, const greeting& g) {
  w.id(g.node_id);
  w.number(tag::incarnation, g.incarnation);
  w.number(tag::session, g.session);
  w.number(tag::previous, g.previous);
  w.number(tag::taken, g.taken);
  w.number(tag::epoch, g.epoch);
  w.number(tag::credits, g.credits);
  w.text(tag::name, g.name);
  w.text(tag::host_id, g.host_id);
  w.text(tag::process_id, g.process_id);
  w.text(tag::scheme, g.scheme);
  std::size_t listed = 0;
  for (const std::string& a : g.addresses)
    if (a.size() <= max_text && listed++ < max_addresses) w.text(tag::address, a);
  listed = 0;
  for (const offer& o : g.offers)
    if (listed++ < max_offers) w.offer_of(o);
  w.number(tag::refusal, static_cast<std::uint16_t>(g.why));
  w.number(tag::reason, static_cast<std::uint16_t>(g.reason));
  w.text(tag::sentence, g.sentence, max_sentence);
}

}  // namespace

static_assert(wire::head_size + fixed_bytes + 16 * max_fields / 2 + (max_addresses + 5) * (4 + max_text) +
                      max_offers * (5 + 2 * max_text) + max_sentence <=
                  max_greeting,
              "a greeting fits a frame that links hand over whole");

std::vector<std::byte> encode(const greeting& g) {
  writer w;
  wire::head h;
  h.type = g.kind;
  w.raw(h);
  w.raw(wire::magic);
  w.raw(g.version);
  w.raw(static_cast<std::uint16_t>((g.probe ? flag_probe : 0) | (g.resume ? flag_resume : 0) |
                                   (g.separate ? flag_separate : 0) | (g.lost ? flag_lost : 0)));
  fields(w, g);
  std::vector<std::byte> frame = w.take();
  wire::store(frame.data(), static_cast<std::uint32_t>(frame.size()));
  return frame;
}

result<greeting> decode(const wire::head& h, const_buffer body, std::string* why) {
  const auto fail = [&](errc code, std::string sentence) -> result<greeting> {
    if (why) *why = std::move(sentence);
    return make_error_code(code);
  };
  if (h.type != wire::type::hello && h.type != wire::type::welcome && h.type != wire::type::refuse)
    return fail(errc::protocol_error,
                "the other side began with a frame that is no handshake; is it kfx that listens there?");
  if (body.size() < fixed_bytes || wire::load<std::uint32_t>(body.data()) != wire::magic)
    return fail(errc::protocol_error, "the other side does not speak kfx; is it kfx that listens there?");
  greeting g;
  g.kind = h.type;
  g.version = wire::load<std::uint16_t>(body.data() + 4);
  if (g.version != wire::format_version)
    return fail(errc::version_mismatch, "the other side speaks version " + std::to_string(g.version) +
                                            " of kfx's wire format and this side version " +
                                            std::to_string(wire::format_version) +
                                            "; use versions of kfx that share one");
  const auto flags = wire::load<std::uint16_t>(body.data() + 6);
  g.probe = flags & flag_probe;
  g.resume = flags & flag_resume;
  g.separate = flags & flag_separate;
  g.lost = flags & flag_lost;
  if (body.size() > max_greeting) return fail(errc::protocol_error, "the other side's handshake is too long");
  reader r(g, body.subspan(fixed_bytes));
  if (!r.run()) return fail(errc::protocol_error, "the other side's handshake cannot be read: " + r.why);
  if (std::string what = missing(g); !what.empty())
    return fail(errc::protocol_error, "the other side's handshake is incomplete: " + what);
  return g;
}

greeting make_refuse(refusal why, std::error_code code, std::string sentence) {
  greeting g;
  g.kind = wire::type::refuse;
  g.why = why;
  g.reason = code.category() == error_category() ? code.value() : static_cast<int>(errc::refused);
  g.sentence = std::move(sentence);
  return g;
}

}  // namespace kfx::cm
