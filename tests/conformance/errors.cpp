// SPDX-License-Identifier: BSD-2-Clause
/// @file
/// Bad input and bad peers end in an error that names what failed, with whom, why, and what to do.

#include <algorithm>

#include "suite.hpp"

namespace kfx::test {
namespace {

/// The sentence of what a constructor or `at` throws.
template <class F>
std::pair<std::error_code, std::string> thrown(F f) {
  try {
    f();
  } catch (const kfx::error& e) {
    return {e.code(), e.what()};
  }
  return {};
}

bool mentions(const std::string& text, std::string_view word) { return text.find(word) != std::string::npos; }

/// The op failed so, and says so in a sentence: with whom, which verb, over what, and more than the code's name.
template <class T>
void check_failure(op<T>&& o, errc expected, std::string_view verb, const kfx::peer& with) {
  const auto e = error_of(o);
  const std::string sentence = o.explain();
  INFO(verb << ": " << e.message() << ": " << sentence);
  CHECK(e == expected);
  CHECK(mentions(sentence, verb));
  const std::string uri = with.uri();
  CHECK(mentions(sentence, uri.substr(0, uri.find('?'))));
  const std::string scheme = under_test().scheme();
  CHECK(mentions(sentence, scheme.substr(scheme.find('+') + 1)));
  CHECK(sentence.size() > uri.size() + 30);
}

}  // namespace

TEST_CASE("URIs that cannot be read or reached are named", "[errors]") {
  host client(client_options());
  for (const char* bad : {"", "nonsense", "://", "tcp:/x", "tcp://[::1", "tcp://host:port", "tcp://a:99999", "\x01"}) {
    const auto [code, sentence] = thrown([&] { (void)client->at(bad); });
    INFO('"' << bad << "\": " << sentence);
    CHECK(code == errc::bad_uri);
    CHECK(sentence.size() > 20);
  }
  const auto [code, sentence] = thrown([&] { (void)client->at("warp://enterprise"); });
  CHECK(code == errc::no_backend);
  CHECK(mentions(sentence, "warp"));
  const auto [knob_code, knob] = thrown([&] { (void)client->at("tcp://127.0.0.1:1?limit=soon"); });
  CHECK((knob_code == errc::bad_option || knob_code == errc::bad_uri));
  CHECK(mentions(knob, "limit"));
}

TEST_CASE("a node that cannot be made says why", "[errors]") {
  const auto fails = [](auto change) {
    options o;
    change(o);
    return thrown([&] { node n(o); });
  };
  const auto uri = fails([](options& o) { o.listen = {"nonsense"}; });
  CHECK(uri.first == errc::bad_uri);
  CHECK(mentions(uri.second, "nonsense"));
  const auto backend = fails([](options& o) { o.listen = {"warp://x"}; });
  CHECK(backend.first == errc::no_backend);
  CHECK(mentions(backend.second, "warp"));
  const auto partitions = fails([](options& o) { o.partitions = "0[zero]"; });
  CHECK(partitions.first == errc::bad_option);
  CHECK(mentions(partitions.second, "partitions"));

  host first(server_options());
  const std::string taken = uri_of(*first).substr(0, uri_of(*first).find('?'));
  const auto in_use = fails([&](options& o) { o.listen = {taken}; });
  INFO(in_use.second);
  CHECK(in_use.first == errc::address_in_use);
  CHECK(mentions(in_use.second, taken.substr(taken.rfind('/') + 1)));
}

TEST_CASE("options are checked where they are used", "[errors]") {
  std::array<std::byte, 16> bytes{};
  world w;
  (*w.server)->on_message([](message) {});
  w.connect();
  CHECK(error_of(w.peer.read(bytes, w.remote.at(0, 16), {.durable = true})) == errc::bad_option);
  CHECK(error_of(w.peer.read(bytes, w.remote.at(0, 16), {.notify = 1})) == errc::bad_option);
  CHECK(error_of(w.peer.read(bytes, w.remote.at(0, 16), {.write8 = true})) == errc::bad_option);
  CHECK(error_of(w.peer.write(bytes, w.remote.at(0, 16), {.reply = bytes})) == errc::bad_option);
  CHECK(error_of(w.peer.send(head.bytes(), {}, {.durable = true})) == errc::bad_option);
  CHECK(error_of(w.peer.send(head.bytes(), {}, {.notify = 1})) == errc::bad_option);
  CHECK(error_of(w.peer.open("memory", {.notify = 1})) == errc::bad_option);
  CHECK(error_of(w.peer.write(bytes, w.remote.at(0, 16), {.write8 = true})) == errc::misaligned);
  std::string why;
  options o;
  CHECK(o.set("limit", "5s") == std::error_code());
  CHECK(o.limit == 5s);
  CHECK(o.set("limit", "soon", &why) == errc::bad_option);
  CHECK(mentions(why, "soon"));
  CHECK(o.set("limt", "5s", &why) == errc::bad_option);
  CHECK(mentions(why, "limt"));
}

TEST_CASE("bounds and rights are the owner's", "[errors]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  guarded secret(1000);
  secret.fill(std::byte{0x42});
  std::vector<std::byte> into(2000);
  world w(mode, 4096);
  w.connect();
  region readable = (*w.server)->share(const_buffer(secret.span()));
  region writable = (*w.server)->share(secret.span(), access::write);
  CHECK(readable.rights() == access::read);
  const auto bytes = noise().first(2000);
  check_failure(w.peer.write(bytes.first(10), readable.token()), errc::access_denied, "write", w.peer);
  check_failure(w.peer.read(mutable_buffer(into).first(10), writable.token()), errc::access_denied, "read", w.peer);
  check_failure(w.peer.write(bytes.first(1001), writable.token()), errc::out_of_bounds, "write", w.peer);
  check_failure(w.peer.read(mutable_buffer(into).first(1001), readable.token()), errc::out_of_bounds, "read", w.peer);
  CHECK(error_of(w.peer.write(bytes.first(11), writable.token().at(100, 10))) == errc::out_of_bounds);
  CHECK(error_of(w.peer.write(bytes.first(1), writable.token().at(1000))) == errc::out_of_bounds);
  CHECK(error_of(w.peer.write(bytes.first(1), writable.token().at(5000))) == errc::out_of_bounds);
  CHECK(error_of(w.peer.write(bytes.first(1), writable.token().at(~std::uint64_t{0} - 3, 8))) == errc::out_of_bounds);

  // A token that was tampered with: the owner does not believe it.
  auto f = writable.token().raw();
  f.length = 1 << 20;
  CHECK(error_of(w.peer.write(bytes, remote_region(f))) == errc::out_of_bounds);
  f.offset = ~std::uint64_t{0} - 100;
  CHECK(error_of(w.peer.write(bytes, remote_region(f))) == errc::out_of_bounds);
  f = readable.token().raw();
  f.flags = 3;
  CHECK(error_of(w.peer.write(bytes.first(10), remote_region(f))) == errc::access_denied);
  f = writable.token().raw();
  f.flags = 3;
  CHECK(error_of(w.peer.read(mutable_buffer(into).first(10), remote_region(f))) == errc::access_denied);
  f = writable.token().raw();
  ++f.key;
  CHECK(error_of(w.peer.write(bytes.first(10), remote_region(f))) == errc::stale_region);
  f = writable.token().raw();
  ++f.incarnation;
  check_failure(w.peer.write(bytes.first(10), remote_region(f)), errc::stale_region, "write", w.peer);
  f = writable.token().raw();
  // A hint that is wrong helps nobody and harms nobody but its bearer.
  f.direct = 0xffffffff;
  f.epoch = 1;
  const auto hinted = error_of(w.peer.write(bytes.first(10), remote_region(f)));
  CHECK((!hinted || hinted == errc::stale_region));
  CHECK(std::all_of(secret.data() + 10, secret.data() + 1000, [](std::byte b) { return b == std::byte{0x42}; }));
  CHECK(error_of(w.peer.write(bytes.first(1), remote_region())));
}

TEST_CASE("limits of headers and fragments", "[errors]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  world w(mode);
  (*w.server)->on_message([](message m) {
    if (m.wants_reply()) m.reply(m.header());
  });
  w.connect();
  check_failure(w.peer.send(noise().first(limits::header + 1)), errc::header_too_long, "send", w.peer);
  must(w.peer.send(noise().first(limits::header)));
  std::vector<const_buffer> list(limits::fragments, noise().first(3));
  must(w.peer.write(list, w.remote));
  must(w.peer.send(head.bytes(), list));
  std::vector<std::byte> into(limits::fragments + 1);
  std::vector<mutable_buffer> sinks;
  for (std::size_t i = 0; i < limits::fragments; ++i) sinks.push_back(mutable_buffer(into).subspan(i, 1));
  must(w.peer.read(sinks, w.remote));
  CHECK(same(sinks, w.memory.part(0, limits::fragments)));
  list.push_back(noise().first(3));
  sinks.push_back(mutable_buffer(into).last(1));
  check_failure(w.peer.write(list, w.remote), errc::too_many_fragments, "write", w.peer);
  check_failure(w.peer.read(sinks, w.remote), errc::too_many_fragments, "read", w.peer);
  check_failure(w.peer.send(head.bytes(), list), errc::too_many_fragments, "send", w.peer);
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
}

TEST_CASE("memory without persistence says so", "[errors]") {
  const auto mode = GENERATE(progress::threads, progress::caller);
  world w(mode);
  w.memory.fill(std::byte{0});
  w.connect();
  check_failure(w.peer.commit(w.remote), errc::not_persistent, "commit", w.peer);
  CHECK(error_of(w.peer.write(noise().first(8), w.remote.at(0, 8), {.durable = true})) == errc::not_persistent);
  const std::array<remote_region, 2> both{w.remote.at(0, 10), w.remote.at(20, 10)};
  CHECK(error_of(w.peer.commit(both)) == errc::not_persistent);
  must(w.peer.write(noise().first(8), w.remote.at(0, 8)));
}

TEST_CASE("names: published, replaced, withdrawn", "[errors]") {
  guarded second(100);
  world w;
  w.connect();
  check_failure(w.peer.open("nothing"), errc::not_found, "open", w.peer);
  CHECK(error_of(w.peer.open("")) == errc::not_found);
  check_failure(w.peer.open(std::string(limits::name + 1, 'n')), errc::bad_option, "open", w.peer);
  {
    region r = (*w.server)->share(second.span(), access::read_write);
    (*w.server)->publish("memory", r);
    CHECK(must(w.peer.open("memory")).length() == 100);
    const std::string longest(limits::name, 'n');
    (*w.server)->publish(longest, r);
    CHECK(must(w.peer.open(longest)).length() == 100);
    (*w.server)->unpublish(longest);
    CHECK(error_of(w.peer.open(longest)) == errc::not_found);
  }
  CHECK(error_of(w.peer.open("memory")) == errc::not_found);
  (*w.server)->unpublish("never there");
}

TEST_CASE("nobody there: the op ends within its limit and names the address", "[errors]") {
  host gone(server_options());
  const std::string uri = uri_of(*gone, "limit=300ms");
  gone.destroy();
  host client(client_options());
  const kfx::peer p = client->at(uri);
  auto o = p.send(head.bytes());
  const auto e = error_of(o);
  INFO(o.explain());
  CHECK((e == errc::unreachable || e == errc::timed_out));
  CHECK(mentions(o.explain(), uri.substr(0, uri.find('?'))));
  CHECK_FALSE(p.connected());
  auto again = p.open("memory", {.deadline = 50ms});
  CHECK(error_of(again));
}

TEST_CASE("a host name that does not resolve", "[errors][hosts]") {
  host client(client_options());
  const kfx::peer p = client->at(under_test().scheme() + "://no-such-host.invalid:7400");
  auto o = p.send(head.bytes(), {}, {.deadline = 20s});
  const auto e = error_of(o);
  INFO(o.explain());
  CHECK(e == errc::unreachable);
  CHECK(mentions(o.explain(), "no-such-host.invalid"));
}

TEST_CASE("every code has a sentence of its own", "[errors]") {
  std::vector<std::string> all;
  for (int i = 1; i <= static_cast<int>(errc::idle_closed); ++i)
    all.push_back(std::error_code(static_cast<errc>(i)).message());
  for (const std::string& s : all) CHECK(s.size() > 10);
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
}

}  // namespace kfx::test
