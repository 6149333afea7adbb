/** The thread: it looks at frames in the socket, answers them, and takes them out. */
#include "librbd/responder.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <system_error>
#include <utility>

#include "librbd/channel.h"
#include "librbd/poll.h"

namespace parentfs::librbd {

namespace {

/** Looks at one connection before others have their turn. */
constexpr int looks_max = 16;
/** Every change is told once: half a frame that stays in the socket must not keep the thread awake. */
constexpr std::uint32_t watched = EPOLLIN | EPOLLRDHUP | EPOLLET;

void add(const OwnedFd& poll, int fd, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  ::epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd, &event);
}

void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

Responder::Responder(OwnedFd channel, std::string directory, std::shared_ptr<ParentTable> parents)
    : channel_(std::move(channel)),
      directory_(std::move(directory)),
      parents_(std::move(parents)),
      poll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  add(poll_, channel_.get(), EPOLLIN | EPOLLET);
  add(poll_, wake_.get(), EPOLLIN);
  thread_ = std::thread([this] { run(); });
}

Responder::~Responder() {
  stopping_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

void Responder::fall_silent() {
  silent_.store(true, std::memory_order_release);
  wake();
}

void Responder::hang_up() {
  hanging_up_.store(true, std::memory_order_release);
  wake();
}

void Responder::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

Responder::Counters Responder::counters() const {
  return {.connections = connected_.load(std::memory_order_relaxed),
          .broken = broken_.load(std::memory_order_relaxed),
          .registered = registered_.load(std::memory_order_relaxed)};
}

void Responder::run() {
  ::pthread_setname_np(::pthread_self(), "pfs-librbd");
  block_signals();
  std::array<epoll_event, events_max> events{};
  while (!stopping_.load(std::memory_order_acquire)) {
    const int count = ::epoll_wait(poll_.get(), events.data(), events_max, -1);
    for (int k = 0; k < count && !stopping_.load(std::memory_order_acquire); k++) {
      const int fd = events.at(static_cast<std::size_t>(k)).data.fd;
      if (fd == wake_.get()) {
        std::uint64_t wakes = 0;
        (void)!::read(fd, &wakes, sizeof wakes);
      } else if (fd == channel_.get()) {
        take_connections();
      } else if (const auto found = connections_.find(fd); found != connections_.end()) {
        if (!serve(found->second)) {
          // The supervisor has it open too, so closing it here does not end its events.
          ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, fd, nullptr);
          connections_.erase(found);
        }
      }
    }
    if (hanging_up_.load(std::memory_order_acquire)) {
      for (const auto& [fd, connection] : connections_) {
        ::shutdown(fd, SHUT_RDWR);
        ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      }
      connections_.clear();
    }
    connected_.store(connections_.size(), std::memory_order_relaxed);
  }
}

void Responder::take_connections() {
  while (true) {
    auto taken = take_handover(channel_.get());
    if (taken.error() == EBADMSG) continue;
    if (!taken.ok()) return;
    auto& [message, fd] = taken.value();
    if (message.connection == 0) {
      if (auto mapped = AnswerJournal::map(fd.get()); mapped.ok()) journal_ = mapped.value();
      continue;
    }
    // Without the journal nothing may be answered: another worker could not know of it.
    if (!journal_ || message.slot >= AnswerJournal::connections_max) continue;
    const AnswerJournal::Slot& slot = journal_->begin(message.slot, message.connection);
    Connection connection{
        .fd = std::move(fd), .number = message.connection, .slot = message.slot, .is_taken_over = slot.count > 0};
    const int own = connection.fd.get();
    connections_.insert_or_assign(own, std::move(connection));
    add(poll_, own, watched);
  }
}

bool Responder::serve(Connection& connection) {
  if (std::exchange(connection.waits_for_room, false)) watch(connection, watched);
  for (int looks = 0; looks < looks_max; looks++) {
    if (silent_.load(std::memory_order_acquire)) return true;
    const ssize_t got = ::recv(connection.fd.get(), stream_.data(), stream_.size(), MSG_PEEK | MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    const std::span<const std::byte> stream = std::span(stream_).first(static_cast<std::size_t>(got));
    if (connection.is_taken_over) {
      bool settled = false;
      if (!settle(connection, stream, settled)) return false;
      if (!settled) return true;
      continue;
    }
    const Step step = answer(connection, stream);
    if (step != Step::go_on) return step == Step::wait;
  }
  watch(connection, watched);  // Others first; asked for again, the kernel tells what is there.
  return true;
}

void Responder::watch(const Connection& connection, std::uint32_t events) const {
  epoll_event event{.events = events, .data = {.fd = connection.fd.get()}};
  ::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
}

bool Responder::settle(Connection& connection, std::span<const std::byte> stream, bool& settled) {
  AnswerJournal::Slot& slot = journal_->slot(connection.slot);
  Frame frame{};
  const Found found = first_frame(stream, frame);
  std::size_t answered = 0;
  for (std::size_t k = 0; k < std::min<std::size_t>(slot.count, slot.messages.size()); k++) {
    if (slot.messages.at(k).msg_len == 0) break;
    answered += slot.frame_bytes.at(k);
  }
  // Frames are taken out together: the first one is there, or none of them is.
  const bool is_there = found == Found::whole && frame.sequence == slot.sequences.front();
  if (answered > 0 && is_there && !take(connection, answered)) return false;
  std::atomic_ref(slot.count).store(0, std::memory_order_release);
  connection.is_taken_over = false;
  settled = true;
  return true;
}

Responder::Step Responder::answer(Connection& connection, std::span<const std::byte> stream) {
  AnswerJournal::Slot& slot = journal_->slot(connection.slot);
  const std::size_t looked_at = stream.size();
  std::uint32_t count = 0;
  while (true) {
    Frame frame{};
    const Found found = first_frame(stream, frame);
    const bool is_full = found != Found::whole || count == AnswerJournal::batch_max;
    if (is_full && count > 0) {
      const Step step = send(connection, count);
      if (step != Step::go_on) return step;
      count = 0;
    }
    if (found == Found::broken) {
      broken_.fetch_add(1, std::memory_order_relaxed);
      ::shutdown(connection.fd.get(), SHUT_RDWR);
      return Step::over;
    }
    // Its rest is still to come; where frames before it were taken, it may lie behind what was looked at.
    if (found == Found::partial) return stream.size() < looked_at ? Step::go_on : Step::wait;
    const std::size_t bytes =
        write(frame, slot, std::span(answers_).subspan(count * answer_bytes_max, answer_bytes_max));
    if (bytes > 0) {
      slot.sequences.at(count) = frame.sequence;
      slot.frame_bytes.at(count) = static_cast<std::uint32_t>(frame.bytes);
      parts_.at(count) = {.iov_base = &answers_[count * answer_bytes_max], .iov_len = bytes};
      count++;
    } else {
      if (count > 0) {
        const Step step = send(connection, count);
        if (step != Step::go_on) return step;
        count = 0;
      }
      if (!take(connection, frame.bytes)) return Step::over;
    }
    stream = stream.subspan(frame.bytes);
  }
}

std::size_t Responder::write(const Frame& frame, AnswerJournal::Slot& slot, std::span<std::byte> target) {
  if (frame.type == static_cast<std::uint16_t>(FrameType::register_client)) {
    if (slot.registered == 0) registered_.fetch_add(1, std::memory_order_relaxed);
    slot.registered = says_version(frame) ? 2 : 1;
    return write_answer(target, FrameType::registered, frame.sequence);
  }
  if (frame.type != static_cast<std::uint16_t>(FrameType::read)) return 0;
  const auto ask = read_ask(frame);
  Answer answer{.kind = AnswerKind::malformed, .node = 0};
  if (retreating_.load(std::memory_order_relaxed)) answer.kind = AnswerKind::closing;
  else if (ask) answer = parents_->answer(*ask, ParentTable::Clock::now());
  parents_->count(answer.kind);
  if (answer.kind == AnswerKind::absent) {
    return write_answer(target, FrameType::path, frame.sequence, slot.registered == 2 ? "" : directory_ + "/absent");
  }
  if (answer.kind != AnswerKind::resident && answer.kind != AnswerKind::partial) {
    return write_answer(target, FrameType::read_rados, frame.sequence);
  }
  std::array<char, path_bytes_max> path{};
  const int length = std::snprintf(path.data(), path.size(), "%s/%016llx", directory_.c_str(),
                                   static_cast<unsigned long long>(answer.node));
  return write_answer(target, FrameType::path, frame.sequence,
                      std::string_view(path.data(), static_cast<std::size_t>(length)));
}

Responder::Step Responder::send(Connection& connection, std::uint32_t count) {
  AnswerJournal::Slot& slot = journal_->slot(connection.slot);
  for (std::uint32_t k = 0; k < count; k++) {
    slot.messages.at(k) = {};
    slot.messages.at(k).msg_hdr.msg_iov = &parts_.at(k);
    slot.messages.at(k).msg_hdr.msg_iovlen = 1;
  }
  std::atomic_ref(slot.count).store(count, std::memory_order_release);
  const int result = ::sendmmsg(connection.fd.get(), slot.messages.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
  const bool is_over = result < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS;
  const auto sent = static_cast<std::uint32_t>(std::max(result, 0));
  std::size_t bytes = 0;
  for (std::uint32_t k = 0; k < sent; k++) bytes += slot.frame_bytes.at(k);
  const bool is_taken = bytes == 0 || take(connection, bytes);
  std::atomic_ref(slot.count).store(0, std::memory_order_release);
  if (is_over || !is_taken) return Step::over;
  if (sent == count) return Step::go_on;
  // Only now: watched all the time, each answer that a client takes would wake this thread.
  connection.waits_for_room = true;
  watch(connection, watched | EPOLLOUT);
  return Step::wait;
}

bool Responder::take(const Connection& connection, std::size_t bytes) {
  // In one call, so that all of it or nothing is left to the next worker. A client that sends descriptors makes it more.
  while (bytes > 0) {
    const ssize_t got = ::recv(connection.fd.get(), taken_.data(), std::min(bytes, taken_.size()), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace parentfs::librbd
