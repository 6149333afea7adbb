/** Steps of a connection, each as far as its descriptors let it. */
#include "serving/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include "serving/request-frame.h"

namespace parentfs::serving {

namespace {

using Then = http::IoResult::Then;

constexpr std::size_t link_piece_bytes = std::size_t{64} * 1024;
/** The time in which a client may hear of the end. */
constexpr std::chrono::milliseconds ending_max{1000};
/** A request at TypeScript has its own deadlines there. */
constexpr std::chrono::hours without_deadline{24 * 365};
/** Answers by permit until other connections of the thread have their turn. */
constexpr unsigned permitted_in_turn_max = 16;

}  // namespace

Connection::Connection(ConnectionHost& host, std::uint32_t number, OwnedFd socket,
                       std::unique_ptr<http::TlsStream> tls)
    : host_(host), number_(number), socket_(std::move(socket)), is_tls_(tls != nullptr) {
  if (tls) stream_ = std::move(tls);
  else stream_ = std::make_unique<http::PlainTransport>(socket_.get());
  wait_for(host_.limits->handshake_max);
}

bool Connection::advance(bool is_link, std::uint32_t events) {
  const bool is_over = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (is_link) {
    link_has_more_ |= is_over || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
    link_has_room_ |= (events & EPOLLOUT) != 0;
  } else {
    if (is_over) return false;
    can_receive_ |= (events & (EPOLLIN | EPOLLRDHUP)) != 0;
    can_send_ |= (events & EPOLLOUT) != 0;
  }
  return advance();
}

bool Connection::advance() {
  in_turn_ = 0;
  if (phase_ == Phase::greeting && !greet()) return false;
  while (phase_ == Phase::serving) {
    bool has_moved = false;
    for (const auto step : {&Connection::send_own_head, &Connection::answer_from_link, &Connection::answer_from_file,
                            &Connection::end_answer, &Connection::take_from_link, &Connection::give_to_link, &Connection::take_request}) {
      const Step done = (this->*step)();
      if (done == Step::over) return false;
      has_moved |= done == Step::progress;
    }
    if (!has_moved) return true;
  }
  return phase_ == Phase::greeting || discard_rest();
}

bool Connection::greet() {
  while (true) {
    const http::IoResult done = stream_->greet();
    if (done.then == Then::end) return false;
    if (done.then == Then::again) break;
    if (done.then == Then::wait_to_receive) can_receive_ = false;
    if (done.then == Then::wait_to_send) can_send_ = false;
    return true;
  }
  if (is_tls_) certificate_ = http::TlsServer::certificate_of(static_cast<http::TlsStream&>(*stream_));
  phase_ = Phase::serving;
  can_receive_ = true;
  can_send_ = true;
  wait_for(host_.limits->idle_max);
  return true;
}

Connection::Step Connection::answer_from_link() {
  if (from_link_.empty() || !can_send_) return Step::none;
  const std::string_view rest(from_link_.data() + from_link_sent_, from_link_.size() - from_link_sent_);
  const http::IoResult sent = stream_->send(rest);
  if (sent.then == Then::end) return Step::over;
  if (sent.then == Then::wait_to_receive) return Step::none;
  if (sent.bytes == 0) {
    can_send_ = false;
    return Step::none;
  }
  wait_for(host_.limits->take_max);
  from_link_sent_ += sent.bytes;
  link_bytes_ += sent.bytes;
  if (from_link_sent_ == from_link_.size()) {
    from_link_.clear();
    from_link_sent_ = 0;
    if (!order_) wait_for_answer();
  }
  return Step::progress;
}

Connection::Step Connection::answer_from_file() {
  if (!order_ || order_->after != link_bytes_ || !from_link_.empty() || !can_send_ || is_bringing_) return Step::none;
  if (!own_head_.empty()) return Step::none;
  const std::uint64_t offset = order_->offset + order_sent_;
  const std::uint64_t left = order_->length - order_sent_;
  const bool is_spliced = !is_tls_ && !brought_ && host_.pieces->can_splice() && order_->file->can_splice();
  PieceResult done = is_spliced ? host_.pieces->splice(socket_.get(), *order_->file, offset, left, true)
                                : host_.pieces->copy(*stream_, *order_->file, offset, left, brought_.get());
  order_sent_ += done.bytes;
  host_.count(done.bytes);
  if (is_permitted_) count_permitted(done.bytes);
  if (done.bytes > 0) wait_for(host_.limits->take_max);
  has_pending_record_ = is_tls_ && (done.then == PieceResult::Then::wait_to_send ||
                                    (has_pending_record_ && done.then == PieceResult::Then::wait_for_disk));
  if (brought_ && order_->offset + order_sent_ >= brought_->offset + brought_->bytes.size()) brought_.reset();
  switch (done.then) {
    case PieceResult::Then::again:
      break;
    case PieceResult::Then::wait_to_send:
      can_send_ = false;
      return Step::none;
    case PieceResult::Then::wait_for_disk:
      is_bringing_ = true;
      host_.bring(number_, order_->file, offset, std::min<std::uint64_t>(left, PieceSender::copied_bytes));
      return Step::none;
    case PieceResult::Then::missing:
      // Half a record is on its way: nothing else could follow it.
      if (has_pending_record_) return Step::over;
      break;
    case PieceResult::Then::end:
      return Step::over;
  }
  if (order_sent_ < order_->length && done.then != PieceResult::Then::missing) return Step::progress;
  if (is_permitted_ && order_sent_ == order_->length) return end_permitted();
  give_up_order();
  return Step::progress;
}

void Connection::give_up_order() {
  if (is_permitted_) return hand_over();
  host_.tell({.connection = number_, .kind = FrontEvent::Kind::sent, .bytes = order_sent_, .link = {}, .certificate = {}});
  order_.reset();
  brought_.reset();
  wait_for_answer();
}

Connection::Step Connection::end_answer() {
  if (!resume_at_ || *resume_at_ != link_bytes_ || order_ || body_left_ > 0) return Step::none;
  resume_at_.reset();
  if (is_leaving_) return Step::over;
  is_busy_ = is_endless_;
  wait_for(incoming_.empty() ? host_.limits->idle_max : host_.limits->head_max);
  return Step::progress;
}

Connection::Step Connection::take_from_link() {
  if (link_.get() < 0 || !from_link_.empty() || !link_has_more_) return Step::none;
  std::size_t most = link_piece_bytes;
  if (order_) most = std::min<std::uint64_t>(most, order_->after - std::min(order_->after, link_bytes_));
  if (most == 0) return Step::none;
  from_link_.resize(most);
  const ssize_t got = ::recv(link_.get(), from_link_.data(), most, MSG_DONTWAIT);
  from_link_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  if (got > 0) {
    wait_for(host_.limits->take_max);
    return is_rest_ && !leave_head_out() ? Step::over : Step::progress;
  }
  link_has_more_ = false;
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Step::none;
  // TypeScript has ended it, and all that it said is sent.
  phase_ = Phase::ending;
  ::shutdown(socket_.get(), SHUT_WR);
  wait_for(ending_max);
  return Step::progress;
}

Connection::Step Connection::give_to_link() {
  if (to_link_.empty() || !link_has_room_ || link_.get() < 0) return Step::none;
  const ssize_t sent = ::send(link_.get(), to_link_.data(), to_link_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    link_has_room_ = false;
    // An end of it is told where it is read.
    if (errno != EAGAIN && errno != EINTR) to_link_.clear();
    return Step::none;
  }
  to_link_.erase(0, static_cast<std::size_t>(sent));
  if (to_link_.empty() && has_ended_) ::shutdown(link_.get(), SHUT_WR);
  return Step::progress;
}

Connection::Step Connection::take_request() {
  const bool is_passing = is_endless_ || body_left_ > 0;
  if ((is_busy_ && !is_passing) || is_permitted_) return Step::none;
  if (is_passing && !incoming_.empty()) return pass_on(std::exchange(incoming_, {}));
  if (!is_busy_ && !incoming_.empty() && frame_of(incoming_).head_bytes > 0) return forward();
  if (!can_receive_ || has_ended_ || to_link_.size() >= link_piece_bytes) return Step::none;
  std::array<std::byte, 8192> place{};
  const http::IoResult got = stream_->receive(place);
  if (got.bytes == 0) {
    if (got.then == Then::again) return Step::progress;
    if (got.then == Then::wait_to_send) return Step::none;
    can_receive_ = false;
    if (got.then == Then::wait_to_receive) return Step::none;
    has_ended_ = true;
    if (!is_busy_ || got.error != 0) return Step::over;
    if (to_link_.empty()) ::shutdown(link_.get(), SHUT_WR);
    return Step::none;
  }
  const std::string_view text(reinterpret_cast<const char*>(place.data()), got.bytes);
  if (is_passing) return pass_on(text);
  if (incoming_.empty()) wait_for(host_.limits->head_max);
  incoming_.append(text);
  return forward();
}

Connection::Step Connection::pass_on(std::string_view text) {
  const std::size_t own = is_endless_ ? text.size() : std::min<std::uint64_t>(text.size(), body_left_);
  to_link_.append(text.substr(0, own));
  if (!is_endless_) {
    body_left_ -= own;
    if (body_left_ == 0) wait_for_answer();
  }
  incoming_ = text.substr(own);
  return Step::progress;
}

Connection::Step Connection::forward() {
  const RequestFrame frame = frame_of(incoming_);
  const bool is_too_long = frame.head_bytes == 0 && incoming_.size() > host_.limits->head_bytes_max;
  if (frame.head_bytes == 0 && !is_too_long) return Step::progress;
  const bool is_whole = !is_too_long && !frame.is_endless && frame.body_bytes == 0;
  if (is_whole && permit_) {
    if (in_turn_ >= permitted_in_turn_max) {
      host_.again(number_);
      return Step::none;
    }
    if (answer_by_permit(std::string_view(incoming_).substr(0, frame.head_bytes))) {
      incoming_.erase(0, frame.head_bytes);
      return Step::progress;
    }
  }
  request_ = is_whole ? incoming_.substr(0, frame.head_bytes) : std::string{};
  if (link_.get() < 0 && !open_link()) return Step::over;
  is_endless_ = is_too_long || frame.is_endless;
  body_left_ = is_endless_ ? 0 : frame.body_bytes;
  const std::size_t bytes = is_endless_ ? incoming_.size() : frame.head_bytes;
  to_link_.append(incoming_, 0, bytes);
  incoming_.erase(0, bytes);
  is_busy_ = true;
  wait_for_answer();
  return Step::progress;
}

void Connection::wait_for_answer() {
  if (is_busy_ && !is_endless_ && body_left_ == 0) wait_for(without_deadline);
  else wait_for(host_.limits->idle_max);
}

bool Connection::open_link() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) return false;
  link_ = OwnedFd(ends[0]);
  OwnedFd theirs(ends[1]);
  if (!host_.watch(link_.get(), number_, true)) return false;
  link_has_room_ = true;
  host_.tell({.connection = number_,
              .kind = FrontEvent::Kind::link,
              .link = std::move(theirs),
              .certificate = std::move(certificate_)});
  return true;
}

void Connection::send(SendOrder order) {
  order_ = std::move(order);
  order_sent_ = 0;
  wait_for(host_.limits->take_max);
}

void Connection::brought(std::shared_ptr<BroughtPiece> piece) {
  is_bringing_ = false;
  if (!order_) return;
  if (piece->is_there) {
    brought_ = std::move(piece);
    return;
  }
  // A disk that fails, or bytes that went: TypeScript goes on from here.
  if (has_pending_record_) {
    ::shutdown(socket_.get(), SHUT_RDWR);
    return;
  }
  give_up_order();
}

bool Connection::discard_rest() {
  std::array<char, 8192> place{};
  for (int looks = 0; looks < 64; looks++) {
    const ssize_t got = ::recv(socket_.get(), place.data(), place.size(), MSG_DONTWAIT);
    if (got > 0) continue;
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  return true;
}

}  // namespace parentfs::serving
