/** Answers of a connection by permit, from their request to their end, or to the rest that TypeScript sends. */
#include <sys/socket.h>

#include <string_view>
#include <utility>

#include "serving/connection.h"

namespace parentfs::serving {

namespace {

using Then = http::IoResult::Then;

/** The head of the rest of an answer: TypeScript's own, and its interim ones. */
constexpr std::size_t rest_head_bytes_max = std::size_t{16} * 1024;

}  // namespace

void Connection::permit(Permit permit) {
  const auto shape = shape_of(request_);
  if (!is_busy_ || !shape) return;
  permitted_shape_ = shape->text;
  permit_ = std::move(permit);
}

bool Connection::leave() {
  is_leaving_ = is_permitted_;
  return is_leaving_;
}

bool Connection::answer_by_permit(std::string_view head) {
  const auto shape = shape_of(head);
  if (!shape || shape->text != permitted_shape_) return false;
  auto answer = host_.permits->answer(*permit_, *shape);
  if (!answer) return false;
  in_turn_++;
  request_ = head;
  own_head_ = std::move(answer->head);
  own_head_sent_ = 0;
  is_permitted_ = true;
  send({.after = link_bytes_, .file = permit_->file, .offset = answer->offset, .length = answer->length});
  return true;
}

Connection::Step Connection::send_own_head() {
  if (own_head_.empty() || !can_send_) return Step::none;
  const std::string_view rest = std::string_view(own_head_).substr(own_head_sent_);
  // Its bytes follow: one packet has both.
  const http::IoResult sent = stream_->send(rest, http::MoreFollows::yes);
  if (sent.then == Then::end) return Step::over;
  if (sent.then == Then::wait_to_receive) return Step::none;
  if (sent.bytes == 0) {
    can_send_ = false;
    return Step::none;
  }
  own_head_sent_ += sent.bytes;
  if (own_head_sent_ == own_head_.size()) own_head_.clear();
  wait_for(host_.limits->take_max);
  return Step::progress;
}

void Connection::count_permitted(std::size_t bytes) {
  host_.permits->bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (permit_->sent) permit_->sent->fetch_add(bytes, std::memory_order_relaxed);
}

Connection::Step Connection::end_permitted() {
  host_.permits->answers.fetch_add(1, std::memory_order_relaxed);
  order_.reset();
  brought_.reset();
  is_permitted_ = false;
  if (is_leaving_) return Step::over;
  wait_for(incoming_.empty() ? host_.limits->idle_max : host_.limits->head_max);
  return Step::progress;
}

void Connection::hand_over() {
  const std::uint64_t first = order_->offset + order_sent_;
  const std::uint64_t last = order_->offset + order_->length - 1;
  order_.reset();
  brought_.reset();
  is_permitted_ = false;
  permit_.reset();
  is_rest_ = true;
  rest_head_.clear();
  request_ = with_range(request_, *shape_of(request_), first, last);
  to_link_.append(request_);
  is_busy_ = true;
  wait_for_answer();
}

bool Connection::leave_head_out() {
  const std::size_t got = from_link_.size();
  rest_head_.append(from_link_.data(), got);
  from_link_.clear();
  for (std::size_t end = rest_head_.find("\r\n\r\n"); end != std::string::npos; end = rest_head_.find("\r\n\r\n")) {
    const std::string status = rest_head_.substr(0, 12);
    rest_head_.erase(0, end + 4);
    if (status.starts_with("HTTP/1.1 1")) continue;
    if (status != "HTTP/1.1 206") return false;
    is_rest_ = false;
    from_link_.assign(rest_head_.begin(), rest_head_.end());
    from_link_sent_ = 0;
    break;
  }
  // Those that are left out count as gone: what TypeScript says of its link has them.
  link_bytes_ += got - from_link_.size();
  return !is_rest_ || rest_head_.size() <= rest_head_bytes_max;
}

}  // namespace parentfs::serving
