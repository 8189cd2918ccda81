// SPDX-License-Identifier: BSD-2-Clause
// A store and its client in one program: shared memory is written, and a question is answered.
#include <cstdio>
#include <kfx/kfx.hpp>
#include <string_view>
#include <vector>

int main() {
  std::vector<std::byte> disk(1 << 20);
  kfx::node store({.listen = {"kfx://127.0.0.1:0"}});
  kfx::region shared = store.share(kfx::mutable_buffer(disk), kfx::access::read_write);
  store.publish("disk0", shared);
  store.on_message([](kfx::message m) { m.reply(std::string_view("here is the store")); });

  kfx::node client;
  kfx::peer peer = client.at(store.addresses().front());
  kfx::remote_region remote = peer.open("disk0").complete().value();
  peer.write(std::string_view("hello"), remote.at(4096)).complete().value();

  char answer[64];
  auto replied = peer.send(std::string_view("who is there?"), {}, {.reply = answer}).complete().value();
  std::printf("%.*s; its memory says %.5s\n", static_cast<int>(replied.bytes), answer,
              reinterpret_cast<const char*>(&disk[4096]));
}
