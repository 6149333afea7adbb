/** Events of descriptors, tasks, and the look at deadlines. */
#include "serving/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace parentfs::serving {

namespace {

constexpr int events_max = 64;
/** The interval of looks at deadlines. */
constexpr std::chrono::milliseconds look{250};
constexpr std::uint64_t wake_mark = ~std::uint64_t{0};
constexpr std::uint64_t link_mark = std::uint64_t{1} << 32;

OwnedFd made(int fd, const char* call) {
  if (fd < 0) throw std::system_error(errno, std::system_category(), call);
  return OwnedFd(fd);
}

void block_all_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

Loop::Loop(const FrontLimits& limits, std::function<void(FrontEvent)> tell, Front::Submit submit,
           std::shared_ptr<Permits> permits)
    : limits_(limits),
      submit_(std::move(submit)),
      permits_(std::move(permits)),
      poll_(made(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      host_{.limits = &limits_,
            .pieces = &pieces_,
            .tell = std::move(tell),
            .watch = [this](int fd, std::uint32_t number, bool is_link) { return watch(fd, number, is_link); },
            .bring = [this](std::uint32_t number, std::shared_ptr<image::DataFile> file, std::uint64_t offset,
                            std::size_t bytes) { bring(number, std::move(file), offset, bytes); },
            .count = [this](std::size_t bytes) { sent_bytes_.fetch_add(bytes, std::memory_order_relaxed); },
            .permits = permits_.get(),
            .again = [this](std::uint32_t number) { waiting_.push_back(number); }} {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = wake_mark}};
  ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
}

void Loop::start() {
  thread_ = std::thread([this] { run(); });
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
  std::vector<Task> dropped;
  const Lock lock(mutex_);
  has_stopped_ = true;
  dropped.swap(tasks_);
}

void Loop::post(Task task) {
  {
    const Lock lock(mutex_);
    if (has_stopped_) return;
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;
  }
  wake();
}

void Loop::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Loop::run() {
  ::pthread_setname_np(::pthread_self(), "pfs-serving");
  block_all_signals();
  std::array<epoll_event, events_max> events{};
  while (!stopping_.load(std::memory_order_acquire)) {
    const int idle = connections_.empty() ? -1 : static_cast<int>(look.count());
    const int timeout = waiting_.empty() ? idle : 0;
    const int count = ::epoll_wait(poll_.get(), events.data(), events_max, timeout);
    for (int k = 0; k < count; k++) {
      const epoll_event& event = events.at(static_cast<std::size_t>(k));
      if (event.data.u64 == wake_mark) {
        do_tasks();
        continue;
      }
      const auto number = static_cast<std::uint32_t>(event.data.u64);
      const auto found = connections_.find(number);
      const bool is_link = (event.data.u64 & link_mark) != 0;
      if (found != connections_.end() && !found->second.advance(is_link, event.events)) drop(number);
    }
    give_turns();
    drop_late();
  }
  connections_.clear();
}

void Loop::give_turns() {
  // Those that want another one come behind the events of others.
  for (const std::uint32_t number : std::exchange(waiting_, {})) {
    with(number, [](Connection& /*own*/) {});
  }
}

void Loop::do_tasks() {
  std::uint64_t wakes = 0;
  (void)!::read(wake_.get(), &wakes, sizeof wakes);
  std::vector<Task> tasks;
  {
    const Lock lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const Task& task : tasks) task(*this);
}

void Loop::drop_late() {
  const auto now = Connection::Clock::now();
  if (now - looked_ < look) return;
  looked_ = now;
  std::vector<std::uint32_t> late;
  for (const auto& [number, connection] : connections_) {
    if (connection.is_late(now)) late.push_back(number);
  }
  for (const std::uint32_t number : late) drop(number);
}

void Loop::adopt(std::uint32_t number, OwnedFd socket, std::unique_ptr<http::TlsStream> tls) {
  const int fd = socket.get();
  // Without a descriptor TLS could not begin.
  const auto [place, is_new] = connections_.try_emplace(number, host_, number, std::move(socket), std::move(tls));
  if (!is_new || fd < 0 || !watch(fd, number, false) || !place->second.advance()) drop(number);
}

void Loop::with(std::uint32_t number, const std::function<void(Connection&)>& change) {
  const auto found = connections_.find(number);
  if (found == connections_.end()) return;
  change(found->second);
  if (!found->second.advance()) drop(number);
}

void Loop::drop(std::uint32_t number) {
  if (connections_.erase(number) == 0) return;
  host_.tell({.connection = number, .kind = FrontEvent::Kind::closed, .link = {}, .certificate = {}});
}

void Loop::let_go(std::uint32_t number) {
  const auto found = connections_.find(number);
  if (found != connections_.end() && !found->second.leave()) drop(number);
}

void Loop::drop_idle() {
  std::vector<std::uint32_t> idle;
  for (const auto& [number, connection] : connections_) {
    if (connection.is_idle()) idle.push_back(number);
  }
  for (const std::uint32_t number : idle) drop(number);
}

bool Loop::watch(int fd, std::uint32_t number, bool is_link) {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                    .data = {.u64 = number | (is_link ? link_mark : 0)}};
  return ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Loop::bring(std::uint32_t number, std::shared_ptr<image::DataFile> file, std::uint64_t offset, std::size_t bytes) {
  auto piece = std::make_shared<BroughtPiece>();
  piece->offset = offset;
  const auto back = [loop = weak_from_this(), number](const std::shared_ptr<BroughtPiece>& piece) {
    const auto own = loop.lock();
    if (!own) return;
    own->post([number, piece](Loop& loop) {
      loop.with(number, [&](Connection& connection) { connection.brought(piece); });
    });
  };
  const bool is_taken = submit_([piece, file = std::move(file), bytes, back](std::span<std::byte> /*scratch*/) {
    piece->bytes.resize(bytes);
    piece->is_there = file->read_for_other(piece->offset, piece->bytes, image::Blocking::yes) == image::ReadOutcome::hit;
    back(piece);
  });
  if (!is_taken) back(piece);
}

}  // namespace parentfs::serving
