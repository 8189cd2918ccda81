// SPDX-License-Identifier: BSD-2-Clause
#include <dlfcn.h>

#include <algorithm>
#include <mutex>

#include "kfx/backend/backend.hpp"

namespace kfx::backend {

// Generated from the one list in backends/meson.build.
std::vector<std::unique_ptr<backend>> builtin_backends();

namespace {

class registry {
 public:
  // Never destroyed: nodes with static storage may still use a backend while the program ends.
  static registry& instance() {
    static registry& r = *new registry;
    return r;
  }

  bool add(std::unique_ptr<backend> b) {
    std::lock_guard lock(mutex_);
    if (!b || find_locked(b->name())) return false;
    backends_.push_back(std::move(b));
    return true;
  }

  backend* find(std::string_view name) {
    std::lock_guard lock(mutex_);
    return find_locked(name);
  }

  std::vector<backend*> all() {
    std::lock_guard lock(mutex_);
    std::vector<backend*> list;
    for (const auto& b : backends_) list.push_back(b.get());
    std::stable_sort(list.begin(), list.end(), [](backend* a, backend* b) { return a->rank() > b->rank(); });
    return list;
  }

  /// The name of the backend that came from this shared object, if it did.
  std::string loaded_from(void* handle) {
    std::lock_guard lock(mutex_);
    for (const auto& [h, name] : loaded_)
      if (h == handle) return name;
    return {};
  }

  void remember(void* handle, std::string name) {
    std::lock_guard lock(mutex_);
    loaded_.emplace_back(handle, std::move(name));
  }

  std::mutex& loading() { return loading_; }

 private:
  registry() : backends_(builtin_backends()) {}

  backend* find_locked(std::string_view name) {
    for (const auto& b : backends_)
      if (b->name() == name) return b.get();
    return nullptr;
  }

  std::mutex mutex_;
  std::mutex loading_;  // one load at a time, without holding up lookups (a backend may look others up)
  std::vector<std::unique_ptr<backend>> backends_;
  std::vector<std::pair<void*, std::string>> loaded_;
};

/// Closes a shared object unless it is to stay.
class library {
 public:
  explicit library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {}
  library(const library&) = delete;
  library& operator=(const library&) = delete;
  ~library() {
    if (handle_) ::dlclose(handle_);
  }
  void* get() const { return handle_; }
  void keep() { handle_ = nullptr; }

 private:
  void* handle_;
};

using create_function = backend*(unsigned);

std::unique_ptr<backend> create(create_function* f, std::string& reason) try {
  std::unique_ptr<backend> made(f(abi_version));
  if (!made)
    reason = "it was built against another version of the backend interface than " + std::to_string(abi_version) +
             "; build it against this kfx";
  return made;
} catch (const std::exception& e) {
  reason = std::string("its kfx_backend_create threw: ") + e.what();
  return nullptr;
}

}  // namespace

bool register_backend(std::unique_ptr<backend> b) { return registry::instance().add(std::move(b)); }

backend* find_backend(std::string_view name) { return registry::instance().find(name); }

std::vector<backend*> all_backends() { return registry::instance().all(); }

result<std::string> load_backend(const std::string& path, std::string* why) {
  auto fail = [&](errc code, const std::string& reason) -> result<std::string> {
    if (why) *why = "the backend \"" + path + "\" cannot be loaded: " + reason;
    return make_error_code(code);
  };
  registry& r = registry::instance();
  std::lock_guard loading(r.loading());
  library file(path);
  if (!file.get()) {
    const char* reason = ::dlerror();
    return fail(errc::no_backend, std::string(reason ? reason : "unknown reason") +
                                      "; give the path of a shared object that was built for this machine");
  }
  // Every node that names it loads it; from the second time on there is nothing to do.
  if (std::string name = r.loaded_from(file.get()); !name.empty()) return name;
  auto* f = reinterpret_cast<create_function*>(::dlsym(file.get(), "kfx_backend_create"));
  if (!f) return fail(errc::no_backend, "it has no function kfx_backend_create; see docs/backend-guide.md");
  std::string reason;
  std::unique_ptr<backend> made = create(f, reason);
  if (!made) return fail(errc::version_mismatch, reason);
  std::string name(made->name());
  // Its code must not be unmapped before its object is gone.
  if (!r.add(std::move(made)))
    return fail(errc::bad_option, "there is a backend \"" + name + "\" already; give it another name");
  r.remember(file.get(), name);
  file.keep();
  return name;
}

}  // namespace kfx::backend
