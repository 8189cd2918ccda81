// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// Any link, with faults. See faults.hpp for what they are.

#include <chrono>
#include <memory>
#include <random>

#include "kfx/backend/link.hpp"
#include "support/wakeable.hpp"

namespace kfx::test {

/// What a URI asks for.
struct fault_plan {
  std::uint64_t seed = 1;
  unsigned cut = 0;
  unsigned delay = 0;
  bool partial = false;
  bool lost_acks = false;
  bool dup = false;
};

class faulty_link final : public backend::link {
 public:
  /// `address` is what `faults::cut_all` looks at.
  faulty_link(std::unique_ptr<backend::link> inner, const fault_plan&, std::uint64_t seed, std::string address);
  ~faulty_link() override { close(); }

  const backend::link_caps& caps() const noexcept override { return inner_->caps(); }
  std::span<std::byte> reserve(std::size_t at_least) override;
  void commit(std::size_t bytes) override;
  bool post(const_buffer head, std::span<const const_buffer> body, backend::cookie) override;
  std::error_code flush(backend::frame_sink&) override;
  polled poll(backend::frame_sink&, unsigned budget) override;
  bool quiesce(backend::cookie) override;
  void divert() override;
  backend::remote_memory* direct() noexcept override { return inner_->direct() ? &memory_ : nullptr; }
  backend::wait_handle arm() override;
  void close() override;
  std::string device() const override { return inner_->device(); }
  std::string peer_address() const override { return inner_->peer_address(); }
  std::string describe() const override { return "faulty " + inner_->describe(); }

 private:
  /// Stands between the inner link and the engine, and keeps to itself what is to be lost.
  class filter final : public backend::frame_sink {
   public:
    explicit filter(faulty_link& owner) : owner_(owner) {}
    bool on_frame(const_buffer head, const_buffer body) override;
    std::span<const mutable_buffer> on_bulk(const_buffer head, std::size_t size) override;
    bool on_bulk_done() override;
    void on_sent(backend::cookie c) override { to->on_sent(c); }
    void on_quiet(backend::cookie c) override { to->on_quiet(c); }
    void on_direct(backend::cookie c, std::error_code e) override;
    backend::frame_sink* to = nullptr;

   private:
    faulty_link& owner_;
  };

  /// The inner link's one-sided access, which faults too.
  class memory final : public backend::remote_memory {
   public:
    explicit memory(faulty_link& owner) : owner_(owner) {}
    const backend::memory_caps& caps() const noexcept override { return inner().caps(); }
    bool takes(backend::direct_key key, std::uint64_t bytes, bool atomic8) override {
      return inner().takes(key, bytes, atomic8);
    }
    result<backend::direct_key> share(std::span<const mutable_buffer> memory, access rights,
                                      backend::sharing how) override {
      return inner().share(memory, rights, how);
    }
    void withdraw(backend::direct_key key) override { inner().withdraw(key); }
    backend::started put(backend::direct_key, std::uint64_t offset, std::span<const const_buffer>,
                         backend::cookie) override;
    backend::started get(backend::direct_key, std::uint64_t offset, std::span<const mutable_buffer>,
                         backend::cookie) override;
    bool flush(backend::cookie) override;

   private:
    backend::remote_memory& inner() const { return *owner_.inner_->direct(); }
    faulty_link& owner_;
  };

  bool one_in(unsigned n) { return random_() % n == 0; }
  bool refuse();
  void spend(unsigned frames);
  bool must_die();
  std::error_code die();

  const std::unique_ptr<backend::link> inner_;
  const fault_plan plan_;
  std::mt19937_64 random_;
  const std::shared_ptr<wakeable> control_;
  filter filter_{*this};
  memory memory_{*this};

  std::int64_t fuse_ = 0;  ///< frames until the cut
  unsigned hold_ = 0;      ///< polls that find nothing
  bool losing_ = false;    ///< nothing that comes back arrives any more
  unsigned losing_polls_ = 0;
  std::chrono::steady_clock::time_point losing_until_{};
  bool refused_ = false;  ///< said "no room" without need since the last `arm`
  bool failed_ = false;   ///< the inner link died
  bool dead_ = false;
};

}  // namespace kfx::test
