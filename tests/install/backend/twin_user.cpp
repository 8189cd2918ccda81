// SPDX-License-Identifier: BSD-2-Clause
// twin_user FILE [option]   has the backend in FILE loaded, by options.backends if "option" is given and by
// KFX_BACKENDS (set by the caller) if not, moves data over it, and sees that it was that backend that made the link.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <kfx/kfx.hpp>
#include <string>
#include <vector>

namespace {

unsigned links_made(const char* file) {
  void* twin = ::dlopen(file, RTLD_NOW | RTLD_NOLOAD);
  if (!twin) return 0;
  auto* count = reinterpret_cast<unsigned (*)()>(::dlsym(twin, "twin_links"));
  const unsigned n = count ? count() : 0;
  ::dlclose(twin);
  return n;
}

int run(const char* file, bool by_option) {
  kfx::options settings;
  if (by_option) settings.backends = file;
  kfx::options listening = settings;
  listening.listen = {"twin://store"};

  std::vector<std::byte> disk(1 << 20);
  kfx::node store(listening);
  kfx::region shared = store.share(kfx::mutable_buffer(disk), kfx::access::read_write);
  store.publish("disk0", shared);

  kfx::node client(settings);
  kfx::peer peer = client.at(store.addresses().at(0));
  kfx::remote_region remote = peer.open("disk0").complete().value();
  std::vector<std::byte> sent(300000), received(300000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 31 + (i >> 8));
  peer.write(sent, remote.at(4096)).complete().value();
  peer.read(received, remote.at(4096)).complete().value();

  const bool same = sent == received && std::equal(sent.begin(), sent.end(), disk.begin() + 4096);
  const bool scheme = store.addresses().at(0).rfind("twin://", 0) == 0;
  const auto known = kfx::backends();
  const bool listed = std::any_of(known.begin(), known.end(), [](auto& b) { return b.name == "twin" && b.available; });
  const unsigned links = links_made(file);
  std::printf("%u link ends, data %s, address %s, %s in kfx::backends()\n", links, same ? "equal" : "DIFFERS",
              store.addresses().at(0).c_str(), listed ? "listed" : "MISSING");
  return same && scheme && listed && links >= 2 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return std::fprintf(stderr, "usage: twin_user FILE [option]\n"), 2;
  return run(argv[1], argc > 2);
} catch (const std::exception& e) {
  std::fprintf(stderr, "twin_user: %s\n", e.what());
  return 1;
}
