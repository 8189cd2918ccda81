// SPDX-License-Identifier: BSD-2-Clause
#include <arpa/inet.h>

#include <charconv>

#include "kfx/backend/backend.hpp"

namespace kfx::backend {

namespace {

constexpr std::size_t max_length = 4096;

// The C locale's classes, whatever the program set.
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
constexpr bool is_unreserved(char c) noexcept {
  return is_lower(c) || is_upper(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// With a zone ("fe80::1%eth0"), too.
bool is_ipv6(const std::string& host) {
  const std::size_t zone = host.find('%');
  if (zone != std::string::npos && zone + 1 == host.size()) return false;
  in6_addr ignored;
  return ::inet_pton(AF_INET6, host.substr(0, zone).c_str(), &ignored) == 1;
}

std::string quoted(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text.substr(0, 200)) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u >= 0x7f)
      out += std::string("\\x") + digits[u >> 4] + digits[u & 15];
    else
      out += c;
  }
  return out + (text.size() > 200 ? "...\"" : "\"");
}

/// Reads one URI front to back. Each step consumes from `rest_`, or says why not and answers false.
class parser {
 public:
  parser(std::string_view text, uri& out) : text_(text), rest_(text), out_(out) {}

  bool run() { return characters() && scheme() && authority() && path() && query(); }
  std::string why() const { return "the URI " + quoted(text_) + " cannot be read: " + reason_; }

 private:
  bool fail(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }

  bool characters() {
    if (text_.empty()) return fail("it is empty; write scheme://host:port, for example tcp://127.0.0.1:7400");
    if (text_.size() > max_length) return fail("it is longer than " + std::to_string(max_length) + " bytes");
    for (char c : text_) {
      const auto u = static_cast<unsigned char>(c);
      if (u <= 0x20 || u == 0x7f) return fail("it holds a space or control character; write those as %20 and so on");
    }
    if (text_.find('#') != std::string_view::npos) return fail("a fragment (#...) means nothing here; write # as %23");
    return true;
  }

  bool scheme() {
    const std::size_t end = rest_.find("://");
    if (end == std::string_view::npos) return fail("there is no \"://\"; write scheme://host:port");
    if (end == 0) return fail("there is no scheme before \"://\"; write kfx://, tcp://, loop:// or another backend's");
    for (char c : rest_.substr(0, end)) {
      const bool first = out_.scheme.empty();
      const bool letter = is_lower(c) || is_upper(c);
      if (!letter && (first || !(is_digit(c) || c == '+' || c == '-' || c == '.')))
        return fail("a scheme is a letter followed by letters, digits, '+', '-' or '.'");
      out_.scheme += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    }
    rest_.remove_prefix(end + 3);
    return true;
  }

  bool authority() {
    const std::size_t end = std::min(rest_.find_first_of("/?"), rest_.size());
    std::string_view part = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (part.find('@') != std::string_view::npos) return fail("a user name (...@) is not supported; write @ as %40");
    if (!part.empty() && part.front() == '[') {
      if (!bracketed(part)) return false;
    } else {
      const std::size_t colon = part.find(':');
      if (colon != std::string_view::npos && part.find(':', colon + 1) != std::string_view::npos)
        return fail(
            "it has more than one ':' after the scheme; an IPv6 address stands in brackets, as in "
            "tcp://[::1]:7400");
      if (!decode(part.substr(0, colon), out_.host, "host")) return false;
      part = colon == std::string_view::npos ? std::string_view() : part.substr(colon);
    }
    return part.empty() || port(part.substr(1));
  }

  /// `[address]`, up to a colon or the end.
  bool bracketed(std::string_view& part) {
    const std::size_t close = part.find(']');
    if (close == std::string_view::npos) return fail("the '[' of its IPv6 address is not closed by ']'");
    if (!decode(part.substr(1, close - 1), out_.host, "host")) return false;
    if (!is_ipv6(out_.host)) return fail("what stands in brackets is no IPv6 address");
    part.remove_prefix(close + 1);
    if (!part.empty() && part.front() != ':') return fail("only a ':' and a port may follow the ']'");
    return true;
  }

  bool port(std::string_view digits) {
    if (digits.empty()) return fail("the port after ':' is missing; leave out the ':' or write a number");
    unsigned number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number > 65535)
      return fail("the port " + quoted(digits) + " is no number from 0 to 65535");
    out_.port = std::to_string(number);
    return true;
  }

  bool path() {
    if (rest_.empty() || rest_.front() != '/') return true;
    const std::size_t end = std::min(rest_.find('?'), rest_.size());
    const bool good = decode(rest_.substr(1, end - 1), out_.path, "path");
    rest_.remove_prefix(end);
    return good;
  }

  bool query() {
    if (out_.host.empty() && out_.port.empty() && out_.path.empty())
      return fail("it names no host; write scheme://host:port or scheme://name");
    if (rest_.empty()) return true;
    rest_.remove_prefix(1);  // '?'
    while (!rest_.empty()) {
      const std::string_view pair = rest_.substr(0, rest_.find('&'));
      rest_.remove_prefix(std::min(pair.size() + 1, rest_.size()));
      const std::size_t equals = pair.find('=');
      std::string key, value;
      if (equals == std::string_view::npos || equals == 0)
        return fail("its query holds " + quoted(pair) + " where key=value is expected");
      if (!decode(pair.substr(0, equals), key, "query") || !decode(pair.substr(equals + 1), value, "query"))
        return false;
      if (!out_.query.emplace(key, std::move(value)).second)
        return fail("its query sets " + quoted(key) + " twice; once is enough");
    }
    return true;
  }

  bool decode(std::string_view from, std::string& to, const char* where) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      char c = from[i];
      if (c == '%') {
        const int high = i + 2 < from.size() ? hex_value(from[i + 1]) : -1;
        const int low = i + 2 < from.size() ? hex_value(from[i + 2]) : -1;
        if (high < 0 || low < 0)
          return fail(std::string("the '%' in its ") + where +
                      " is not followed by two hexadecimal digits; write '%' as %25");
        c = static_cast<char>(high * 16 + low);
        if (c == 0) return fail(std::string("its ") + where + " holds a zero byte (%00)");
        i += 2;
      }
      to += c;
    }
    return true;
  }

  std::string_view text_;
  std::string_view rest_;
  uri& out_;
  std::string reason_;
};

void encode(std::string& to, std::string_view text, std::string_view also_plain = {}) {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (char c : text) {
    if (is_unreserved(c) || also_plain.find(c) != std::string_view::npos) {
      to += c;
    } else {
      const auto u = static_cast<unsigned char>(c);
      to += '%';
      to += digits[u >> 4];
      to += digits[u & 15];
    }
  }
}

}  // namespace

result<uri> uri::parse(std::string_view text, std::string* why) {
  uri u;
  parser p(text, u);
  if (p.run()) return u;
  if (why) *why = p.why();
  return make_error_code(errc::bad_uri);
}

std::string uri::to_string() const {
  std::string text = scheme + "://";
  if (is_ipv6(host)) {
    text += '[';
    encode(text, host, ":");
    text += ']';
  } else {
    encode(text, host);
  }
  if (!port.empty()) text += ':' + port;
  if (!path.empty()) {
    text += '/';
    encode(text, path, "/:@+,=");
  }
  char separator = '?';
  for (const auto& [key, value] : query) {
    text += separator;
    encode(text, key);
    text += '=';
    encode(text, value, "/:,");
    separator = '&';
  }
  return text;
}

}  // namespace kfx::backend
