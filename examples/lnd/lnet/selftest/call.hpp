// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// The asking side of an RPC. One at a time, and another after it.

#include "messages.hpp"
#include "operation.hpp"

namespace lnet::selftest {

class call : public operation {
 public:
  using operation::operation;

 protected:
  ~call() = default;

  struct question {
    process_id target{};
    unsigned portal = 0;
    std::chrono::milliseconds patience{};
    std::uint64_t rpc = 0;
    fragment message;  ///< whole; ours until it is answered
    fragment answer;   ///< room for the reply
    fragment bulk;     ///< empty: none
    unsigned bulk_options = 0;
  };
  struct answer {
    int status = 0;  ///< of the way, else what the other side says
    std::span<const std::byte> body;
    std::size_t moved = 0;  ///< of the bulk
    bool expired = false;
  };

  /// Nothing is under way: `ask`, or do not.
  virtual void next() noexcept = 0;
  /// It is over, and all its memory is ours again. May ask anew.
  virtual void ended(const answer&) noexcept = 0;
  /// Its time is over, though LNet may still have its memory.
  virtual void gave_up() noexcept {}

  void ask(const question&) noexcept;

 private:
  void proceed() noexcept final;
  int start() noexcept;
  bool answered_badly() noexcept;
  void abandon() noexcept;
  void conclude() noexcept;
  answer judge() noexcept;

  question question_;
  window request_, reply_, bulk_;
  bool under_way_ = false;
  bool abandoned_ = false;
  int start_status_ = 0;
};

}  // namespace lnet::selftest
