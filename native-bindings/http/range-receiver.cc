/** The thread that receives. */
#include "http/range-receiver.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "http/response-head.h"
#include "syscalls/process.h"

namespace parentfs::http {

namespace {

/**
 * Bytes that one connection may take before others have their turn; a caller that gives it up waits no longer than
 * that.
 */
constexpr std::size_t turn_bytes_max = std::size_t{1024} * 1024;
/** Receptions in its turn: as many of the longest records of TLS as that. A record may be of one byte. */
constexpr unsigned turn_reads_max = 64;
/** Most bodies are here by then, and one event tells of both. */
constexpr std::chrono::milliseconds late_head(50);
constexpr std::chrono::milliseconds progress_pause(100);
constexpr int ready_max = 64;

std::uint32_t events_of(bool is_sending) { return EPOLLIN | (is_sending ? EPOLLOUT : 0U); }

}  // namespace

RangeReceiver::RangeReceiver(std::function<void()> on_events)
    : on_events_(std::move(on_events)), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (epoll_.get() < 0 || wake_.get() < 0 || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll");
  }
  thread_ = std::thread([this] { work(); });
  thread_id_ = thread_.get_id();
}

std::shared_ptr<RangeReceiver> RangeReceiver::make(std::function<void()> on_events) {
  return {new RangeReceiver(std::move(on_events)), [](RangeReceiver* receiver) {
            // A thread cannot wait for its own end: another one does.
            if (receiver->thread_id_ == std::this_thread::get_id()) std::thread([receiver] { delete receiver; }).detach();
            else delete receiver;
          }};
}

Result<std::uint32_t> RangeReceiver::adopt(OwnedFd socket) {
  auto stream = std::make_unique<PlainTransport>(socket.get());
  return take(std::move(socket), std::move(stream), Connection::State::idle);
}

Result<std::uint32_t> RangeReceiver::adopt(OwnedFd socket, TlsContext& tls, const std::string& host) {
  auto stream = tls.open(socket.get(), host);
  if (!stream) return Failure{EPROTO};
  return take(std::move(socket), std::move(stream), Connection::State::greeting);
}

Result<std::uint32_t> RangeReceiver::take(OwnedFd socket, std::unique_ptr<Transport> stream, Connection::State state) {
  const Lock lock(mutex_);
  if (!thread_.joinable()) return Failure{ECANCELED};
  do last_id_++;
  while (last_id_ == 0 || connections_.contains(last_id_));
  const auto connection = std::make_shared<Connection>(last_id_, std::move(socket), std::move(stream), state);
  connections_.emplace(last_id_, connection);
  const Lock own(connection->mutex);
  // A TLS connection starts the handshake when writable.
  connection->is_sending = state == Connection::State::greeting;
  epoll_event event{.events = events_of(connection->is_sending), .data = {.u64 = last_id_}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection->socket.get(), &event) == 0) return last_id_;
  const int error = errno;
  connections_.erase(last_id_);
  return Failure{error};
}

int RangeReceiver::ask(std::uint32_t id, std::string_view request, std::span<std::byte> target, Ended ended) {
  const auto connection = find(id);
  if (!connection) return ENOTCONN;
  const Lock lock(connection->mutex);
  if (connection->state == Connection::State::ended) return ENOTCONN;
  if (target.empty()) return EINVAL;
  if (connection->state != Connection::State::idle || !connection->unsent.empty()) return EBUSY;
  connection->unsent = request;
  if (const int error = send(*connection); error != 0) return error;
  connection->state = Connection::State::head;
  connection->head.clear();
  connection->informations = 0;
  connection->information_bytes = 0;
  connection->target = target;
  connection->at = connection->untold = 0;
  connection->exchange++;
  connection->ended = std::move(ended);
  return 0;
}

int RangeReceiver::take_over(std::uint32_t id) {
  const auto connection = find(id);
  if (!connection) return ENOTCONN;
  const Lock lock(connection->mutex);
  if (connection->state == Connection::State::ended) return ENOTCONN;
  if (connection->state != Connection::State::idle) return EBUSY;
  connection->is_taken_over = true;
  return 0;
}

void RangeReceiver::drop(std::uint32_t id) {
  std::shared_ptr<Connection> connection;
  {
    const Lock lock(mutex_);
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    connection = std::move(found->second);
    connections_.erase(found);
  }
  // Even if the peer never stops sending, the thread releases the lock within one slice.
  ::shutdown(connection->socket.get(), SHUT_RDWR);
  Ended ended;
  {
    const Lock lock(connection->mutex);
    leave(*connection);
    ended = std::exchange(connection->ended, {});
  }
  if (ended) ended({.connection = id, .kind = Event::Kind::lost, .error = ECANCELED});
}

std::vector<Event> RangeReceiver::take_events() {
  const Lock lock(events_mutex_);
  armed_ = false;
  return std::exchange(events_, {});
}

void RangeReceiver::close() {
  std::vector<std::uint32_t> all;
  std::thread thread;
  {
    const Lock lock(mutex_);
    for (const auto& [id, connection] : connections_) all.push_back(id);
    thread = std::exchange(thread_, {});
  }
  for (const std::uint32_t id : all) drop(id);
  if (!thread.joinable()) return;
  ::eventfd_write(wake_.get(), 1);
  thread.join();
  // Its last reference may go much later. No connection is watched any more, and none is adopted without the thread.
  epoll_.reset();
  wake_.reset();
}

void RangeReceiver::work() {
  ::pthread_setname_np(::pthread_self(), "pfs-receive");  // As top -H and ps -T show it.
  syscalls::block_signals();
  std::array<epoll_event, ready_max> ready{};
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), ready.data(), ready_max, unfinished_.empty() ? wait_ms() : 0);
    const auto unfinished = std::exchange(unfinished_, {});
    for (int k = 0; k < count; k++) {
      if (ready.at(k).data.u64 == 0) return;
      serve(static_cast<std::uint32_t>(ready.at(k).data.u64));
    }
    for (const std::uint32_t id : unfinished) serve(id);
    tell_late_heads();
    wake();
  }
}

void RangeReceiver::serve(std::uint32_t id) {
  const auto connection = find(id);
  if (connection) serve(*connection);
  wake();
}

void RangeReceiver::serve(Connection& connection) {
  const Lock lock(connection.mutex);
  if (connection.state == Connection::State::ended) return;
  if (connection.state == Connection::State::greeting && !greet(connection)) return;
  connection.is_unfinished = false;
  // A failed send is reported where nothing is received, either.
  if (!connection.unsent.empty()) send(connection);
  receive(connection);
  tell_progress(connection);
}

bool RangeReceiver::greet(Connection& connection) {
  const IoResult greeted = connection.stream->greet();
  if (greeted.then == IoResult::Then::end) lose(connection, greeted.error);
  else watch(connection, greeted.then == IoResult::Then::wait_to_send);
  if (greeted.then != IoResult::Then::again) return false;
  connection.state = Connection::State::idle;
  tell(connection, {.connection = connection.id, .kind = Event::Kind::ready});
  return true;
}

int RangeReceiver::send(Connection& connection) {
  const IoResult sent = connection.stream->send(connection.unsent);
  connection.unsent.erase(0, sent.then == IoResult::Then::end ? connection.unsent.size() : sent.bytes);
  // In TLS it may want to be received from first, which it is anyway.
  connection.is_full = !connection.unsent.empty() && sent.then != IoResult::Then::wait_to_receive;
  watch(connection, connection.is_full);
  if (sent.then != IoResult::Then::end) return 0;
  return sent.error == 0 ? EPIPE : sent.error;
}

void RangeReceiver::receive(Connection& connection) {
  using State = Connection::State;
  std::size_t taken = 0;
  for (unsigned reads = 0; reads < turn_reads_max && taken < turn_bytes_max; reads++) {
    const bool body = connection.state == State::body;
    const std::size_t room = body ? std::min(turn_bytes_max - taken, connection.target.size() - connection.at)
                                  : head_bytes_max - connection.head.size();
    std::byte* place = body ? connection.target.data() + connection.at : scratch_.data();
    const IoResult got = connection.stream->receive({place, room});
    if (got.then == IoResult::Then::end) return lose(connection, got.error);
    if (got.bytes == 0) {
      if (got.then == IoResult::Then::again) continue;
      // Level-triggered: what the kernel still has is told again.
      return watch(connection, got.then == IoResult::Then::wait_to_send || connection.is_full);
    }
    if (connection.state == State::idle) return lose(connection, EPROTO);
    taken += got.bytes;
    if (body) {
      connection.at += got.bytes;
      connection.untold += got.bytes;
    } else {
      connection.head.append(reinterpret_cast<const char*>(scratch_.data()), got.bytes);
      if (!begin_body(connection)) return;
    }
    if (connection.state == State::body && connection.at == connection.target.size()) {
      connection.state = State::idle;
      tell(connection, {.connection = connection.id,
                        .kind = Event::Kind::whole,
                        .bytes = std::exchange(connection.untold, 0),
                        .head = std::exchange(connection.head, {})});
      break;
    }
    if (got.then != IoResult::Then::again) return;
  }
  if (connection.stream->holds_more() && !std::exchange(connection.is_unfinished, true)) unfinished_.push_back(connection.id);
}

bool RangeReceiver::begin_body(Connection& connection) {
  std::string& head = connection.head;
  std::size_t from = 0;
  std::size_t end = 0;
  Answer answer = Answer::other;
  while (true) {
    const std::string_view left = std::string_view(head).substr(from);
    end = end_of_head(left);
    if (end == 0 && left.size() < head_bytes_max) {
      head.erase(0, from);
      return true;
    }
    answer = end == 0 ? Answer::other : answer_of(left.substr(0, end), connection.target.size());
    if (answer != Answer::information) break;
    connection.informations++;
    connection.information_bytes += end;
    if (connection.informations > informations_max || connection.information_bytes > information_bytes_max) break;
    from += end;
  }
  // Once for all of them: each would move the whole rest.
  head.erase(0, from);
  const std::size_t rest = head.size() - end;
  if (answer != Answer::range || rest > connection.target.size()) {
    if (end > 0) head.resize(end);
    leave(connection);
    tell(connection, {.connection = connection.id, .kind = Event::Kind::other, .head = std::move(head)});
    return false;
  }
  std::memcpy(connection.target.data(), head.data() + end, rest);
  connection.at = connection.untold = rest;
  head.resize(end);
  connection.state = Connection::State::body;
  connection.told_at = Clock::now();
  if (connection.is_taken_over) return true;
  late_.push_back({.connection = connection.id, .exchange = connection.exchange, .at = connection.told_at + late_head});
  return true;
}

void RangeReceiver::tell_progress(Connection& connection) {
  if (connection.state != Connection::State::body || connection.untold == 0) return;
  const auto now = Clock::now();
  if (now - connection.told_at < progress_pause) return;
  connection.told_at = now;
  const auto bytes = std::exchange(connection.untold, 0);
  tell(connection, {.connection = connection.id, .kind = Event::Kind::progress, .bytes = bytes});
}

void RangeReceiver::tell_late_heads() {
  for (const auto now = Clock::now(); !late_.empty() && late_.front().at <= now; late_.pop_front()) {
    const auto connection = find(late_.front().connection);
    if (!connection) continue;
    const Lock lock(connection->mutex);
    if (connection->exchange != late_.front().exchange || connection->state != Connection::State::body) continue;
    connection->told_at = now;
    tell(*connection, {.connection = connection->id,
                       .kind = Event::Kind::head,
                       .bytes = std::exchange(connection->untold, 0),
                       .head = std::exchange(connection->head, {})});
  }
}

/** -1: for as long as nothing happens. */
int RangeReceiver::wait_ms() const {
  if (late_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(late_.front().at - Clock::now());
  return std::max(0, static_cast<int>(left.count()));
}

std::shared_ptr<RangeReceiver::Connection> RangeReceiver::find(std::uint32_t id) {
  const Lock lock(mutex_);
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second;
}

void RangeReceiver::watch(Connection& connection, bool sending) const {
  if (std::exchange(connection.is_sending, sending) == sending) return;
  epoll_event event{.events = events_of(sending), .data = {.u64 = connection.id}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event);
}

void RangeReceiver::leave(Connection& connection) {
  connection.state = Connection::State::ended;
  connection.target = {};
  if (connection.stream) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket.get(), nullptr);
  connection.stream.reset();
  ::shutdown(connection.socket.get(), SHUT_RDWR);
}

void RangeReceiver::lose(Connection& connection, int error) {
  const bool is_refused = connection.state == Connection::State::greeting && error == EPROTO;
  leave(connection);
  const auto kind = is_refused ? Event::Kind::refused : Event::Kind::lost;
  tell(connection, {.connection = connection.id, .kind = kind, .error = error, .head = std::move(connection.head)});
}

void RangeReceiver::tell(Connection& connection, Event event) {
  if (connection.is_taken_over) {
    if (event.kind == Event::Kind::progress) return;
    if (event.kind != Event::Kind::whole) lost_.push_back(connection.id);
    if (connection.ended) ended_.emplace_back(std::exchange(connection.ended, {}), std::move(event));
    return;
  }
  const Lock lock(events_mutex_);
  events_.push_back(std::move(event));
  if (!std::exchange(armed_, true)) is_wake_due_ = true;
}

void RangeReceiver::wake() {
  for (const std::uint32_t id : std::exchange(lost_, {})) drop(id);
  for (const auto& [ended, event] : std::exchange(ended_, {})) ended(event);
  if (std::exchange(is_wake_due_, false)) on_events_();
}

}  // namespace parentfs::http
