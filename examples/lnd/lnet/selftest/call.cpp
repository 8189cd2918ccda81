// SPDX-License-Identifier: BSD-2-Clause
#include "call.hpp"

#include <cerrno>

namespace lnet::selftest {

void call::ask(const question& q) noexcept {
  question_ = q;
  under_way_ = true;
  abandoned_ = false;
  request_ = reply_ = bulk_ = window{};
  arm(clock::now() + q.patience);
  start_status_ = start();
  // Where nothing was begun nothing will wake us; elsewhere it does no harm.
  if (start_status_ != 0) wake();
}

int call::start() noexcept {
  const question& q = question_;
  if (const int status = expose(reply_, reply_bits(q.rpc), q.answer, md_op_put)) return status;
  if (!q.bulk.empty()) {
    if (const int status = expose(bulk_, bulk_bits(q.rpc), q.bulk, q.bulk_options)) return status;
  }
  return send(request_, q.message, q.target, q.portal, 0);
}

void call::proceed() noexcept {
  if (!under_way_) return next();
  if (quiet()) return conclude();
  if (!abandoned_ && (start_status_ != 0 || troubled() || answered_badly())) abandon();
}

/// The other side refused; then nobody will come for the memory.
bool call::answered_badly() noexcept {
  if (question_.bulk.empty() || !through(reply_)) return false;
  const auto reply = parse(question_.answer.first(reply_.moved));
  return !reply || reply->head.status != 0;
}

void call::abandon() noexcept {
  abandoned_ = true;
  for (window* w : {&request_, &reply_, &bulk_}) withdraw(*w);
  if (late()) gave_up();
}

void call::conclude() noexcept {
  const answer a = judge();
  under_way_ = false;
  settle();
  ended(a);
}

call::answer call::judge() noexcept {
  answer a;
  if (reply_.done) {
    const auto reply = parse(question_.answer.first(reply_.moved));
    if (!reply || !reply->head.reply || reply->head.rpc != question_.rpc) {
      a.status = -EPROTO;
      return a;
    }
    a.status = reply->head.status;
    a.body = reply->body;
    a.moved = bulk_.moved;
    if (a.status != 0 || question_.bulk.empty() || bulk_.done) return a;
  }
  a.expired = late();
  a.status = start_status_;
  if (a.status == 0 && a.expired) a.status = -ETIMEDOUT;
  for (const window* w : {&request_, &reply_, &bulk_}) {
    if (a.status == 0) a.status = w->status;
  }
  if (a.status == 0) a.status = -ECANCELED;
  return a;
}

}  // namespace lnet::selftest
