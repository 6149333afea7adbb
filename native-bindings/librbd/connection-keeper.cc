/** Accepting, holding and handing over. */
#include "librbd/connection-keeper.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <system_error>
#include <utility>

#include "librbd/channel.h"
#include "librbd/poll.h"

namespace parentfs::librbd {

namespace {

/** Connections that the kernel holds until they are accepted. */
constexpr int backlog = 1024;
/** Without descriptors nothing can be accepted, and a service manager may be busy: a pause before either is tried again. */
constexpr int pause_ms = 100;

OwnedFd made_journal() {
  auto made = AnswerJournal::make();
  if (!made.ok()) throw std::system_error(made.error(), std::system_category(), "memfd_create");
  return std::move(made.value());
}

}  // namespace

Result<OwnedFd> listen_at(const std::string& path, unsigned mode, int group) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return Failure{ENAMETOOLONG};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The name is made with the mode of the socket: nobody can connect before it belongs to its group.
  if (fd.get() < 0 || ::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) return Failure{errno};
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Failure{errno};
  if ((group >= 0 && ::lchown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(group)) != 0) ||
      ::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return Failure{error};
  }
  return fd;
}

Keeper::Keeper(OwnedFd listener, HeldConnections held, std::optional<KeptConnections> kept)
    : listener_(std::move(listener)),
      journal_(kept ? std::move(kept->journal) : made_journal()),
      poll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      held_(std::move(held)) {
  for (std::uint32_t slot = AnswerJournal::connections_max; slot > 0; slot--) free_slots_.push_back(slot - 1);
  if (kept) adopt(std::move(kept->connections));
  for (const OwnedFd* fd : {&listener_, &wake_}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd->get()}};
    ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd->get(), &event);
  }
  thread_ = std::thread([this] { run(); });
}

Keeper::~Keeper() {
  stopping_.store(true, std::memory_order_release);
  wake();
  thread_.join();
  for (const auto& [fd, connection] : connections_) {
    // A manager that takes nothing is not waited for again: it drops them when the worker has shut them.
    if (connection.is_held && !held_.drop(connection.number, connection.slot)) return;
  }
}

void Keeper::adopt(std::vector<Connection> kept) {
  auto mapped = AnswerJournal::map(journal_.get());
  if (!mapped.ok()) throw std::system_error(mapped.error(), std::system_category(), "mmap");
  // No number is taken twice: the journal would be believed about another connection.
  for (std::uint32_t slot = 0; slot < AnswerJournal::connections_max; slot++) {
    last_number_ = std::max(last_number_, mapped.value()->slot(slot).connection);
  }
  // Of two in a slot the later one lives: the manager has not seen yet that the other hung up.
  std::ranges::sort(kept, std::ranges::greater(), &Connection::number);
  for (Connection& connection : kept) {
    last_number_ = std::max(last_number_, connection.number);
    if (std::erase(free_slots_, connection.slot) > 0 && watch(std::move(connection))) held_.kept();
  }
}

Result<OwnedFd> Keeper::attach() {
  auto made = make_channel();
  if (!made.ok()) return Failure{made.error()};
  auto [ours, theirs] = std::move(made.value());
  {
    const Lock lock(mutex_);
    next_channel_ = std::move(ours);
  }
  wake();
  return std::move(theirs);
}

void Keeper::stop_listening() {
  deaf_.store(true, std::memory_order_release);
  wake();
}

void Keeper::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Keeper::run() {
  ::pthread_setname_np(::pthread_self(), "pfs-librbd-keep");
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::array<epoll_event, events_max> events{};
  while (!stopping_.load(std::memory_order_acquire)) {
    const bool is_waiting = is_paused_ || (!unheld_.empty() && held_.has_room());
    const int count = ::epoll_wait(poll_.get(), events.data(), events_max, is_waiting ? pause_ms : -1);
    for (int k = 0; k < count; k++) {
      const epoll_event& event = events.at(static_cast<std::size_t>(k));
      const int fd = event.data.fd;
      if (fd == wake_.get()) look_for_commands();
      else if (fd == channel_.get()) hand_over_waiting();
      else if (connections_.contains(fd)) forget(fd, event.events);
    }
    // Last: a descriptor that is closed above may be that of a new connection here.
    if (!deaf_.load(std::memory_order_acquire)) accept_all();
    hold_waiting();
    hand_over_waiting();
    connected_.store(static_cast<std::uint32_t>(connections_.size()), std::memory_order_relaxed);
  }
}

void Keeper::look_for_commands() {
  std::uint64_t wakes = 0;
  (void)!::read(wake_.get(), &wakes, sizeof wakes);
  if (deaf_.load(std::memory_order_acquire)) listener_.reset();
  const Lock lock(mutex_);
  if (next_channel_.get() < 0) return;
  channel_ = std::move(next_channel_);
  epoll_event event{.events = EPOLLOUT | EPOLLET, .data = {.fd = channel_.get()}};
  ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, channel_.get(), &event);
  journal_waits_ = true;
  waiting_.clear();
  for (const auto& [fd, connection] : connections_) waiting_.push_back(fd);
  hand_over_waiting();
}

void Keeper::accept_all() {
  while (true) {
    OwnedFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.get() >= 0) {
      keep(std::move(fd));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    const bool pauses = errno != EAGAIN;
    if (pauses != is_paused_) {
      epoll_event event{.events = pauses ? 0U : EPOLLIN, .data = {.fd = listener_.get()}};
      ::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, listener_.get(), &event);
      is_paused_ = pauses;
    }
    return;
  }
}

void Keeper::keep(OwnedFd fd) {
  if (free_slots_.empty()) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const int own = fd.get();
  const std::uint32_t slot = free_slots_.back();
  if (!watch({.fd = std::move(fd), .number = ++last_number_, .slot = slot, .is_held = false})) return;
  free_slots_.pop_back();
  unheld_.push_back(own);
  waiting_.push_back(own);
}

bool Keeper::watch(Connection connection) {
  const int own = connection.fd.get();
  epoll_event event{.events = EPOLLRDHUP, .data = {.fd = own}};
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, own, &event) != 0) return false;
  connections_.insert_or_assign(own, std::move(connection));
  return true;
}

void Keeper::forget(int fd, std::uint32_t events) {
  const auto found = connections_.find(fd);
  // The worker has it open too, so closing it here does not end its events.
  ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  free_slots_.insert(free_slots_.begin(), found->second.slot);
  std::erase(waiting_, fd);
  std::erase(unheld_, fd);
  if (found->second.is_held && (events & EPOLLHUP) != 0) held_.forget();
  else if (found->second.is_held) held_.drop(found->second.number, found->second.slot);
  connections_.erase(found);
}

void Keeper::hold_waiting() {
  while (!unheld_.empty() && held_.has_room()) {
    Connection& connection = connections_.at(unheld_.front());
    if (!held_.hold(connection.number, connection.slot, connection.fd.get())) return;
    connection.is_held = true;
    unheld_.pop_front();
  }
}

void Keeper::hand_over_waiting() {
  if (channel_.get() < 0) return;
  if (journal_waits_) {
    if (hand_over(channel_.get(), {.connection = 0, .slot = 0, .padding = 0}, journal_.get()) != 0) return;
    journal_waits_ = false;
  }
  while (!waiting_.empty()) {
    const Connection& connection = connections_.at(waiting_.front());
    const Handover message{.connection = connection.number, .slot = connection.slot, .padding = 0};
    // Without room the channel tells when there is some; when the worker has gone, another one is attached.
    if (hand_over(channel_.get(), message, connection.fd.get()) != 0) return;
    waiting_.pop_front();
  }
}

}  // namespace parentfs::librbd
