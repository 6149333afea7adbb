/** Threads, numbers and events. */
#include "serving/front.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "serving/loop.h"

namespace parentfs::serving {

namespace {

/** Bytes that a socket holds and has not sent: more would wait there in place of in the file. */
constexpr int unsent_bytes_max = 512 * 1024;

}  // namespace

struct Front::Outbox {
  std::function<void()> on_events;
  Mutex mutex;
  std::vector<FrontEvent> events GUARDED_BY(mutex);

  void tell(FrontEvent event) EXCLUDES(mutex) {
    {
      const Lock lock(mutex);
      events.push_back(std::move(event));
      if (events.size() > 1) return;
    }
    on_events();
  }
};

Front::Front(const FrontLimits& limits, std::function<void()> on_events, Submit submit)
    : outbox_(std::make_shared<Outbox>()),
      permits_(std::make_shared<Permits>(limits.objects_max, limits.members_max)) {
  outbox_->on_events = std::move(on_events);
  for (unsigned k = 0; k < limits.threads; k++) {
    loops_.push_back(std::make_shared<Loop>(
        limits, [outbox = outbox_](FrontEvent event) { outbox->tell(std::move(event)); }, submit, permits_));
  }
  for (const auto& loop : loops_) loop->start();
}

Front::~Front() {
  for (const auto& loop : loops_) loop->stop();
}

Result<std::uint32_t> Front::adopt(OwnedFd socket, const std::shared_ptr<http::TlsServer>& tls) {
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) return Failure{errno};
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes_max, sizeof unsent_bytes_max);
  const std::uint32_t number = ++last_;
  auto owned = std::make_shared<OwnedFd>(std::move(socket));
  loop_of(number).post([number, owned, tls](Loop& loop) {
    auto accepted = tls ? tls->accept(owned->get()) : nullptr;
    if (tls && !accepted) owned->reset();
    loop.adopt(number, std::move(*owned), std::move(accepted));
  });
  return number;
}

void Front::send(std::uint32_t connection, SendOrder order) {
  loop_of(connection).post([connection, order = std::move(order)](Loop& loop) {
    loop.with(connection, [&](Connection& own) { own.send(order); });
  });
}

void Front::resume(std::uint32_t connection, std::uint64_t after) {
  loop_of(connection).post([connection, after](Loop& loop) {
    loop.with(connection, [&](Connection& own) { own.resume(after); });
  });
}

void Front::drop(std::uint32_t connection) {
  loop_of(connection).post([connection](Loop& loop) { loop.let_go(connection); });
}

void Front::permit(std::uint32_t connection, Permit permit) {
  loop_of(connection).post([connection, permit = std::move(permit)](Loop& loop) {
    loop.with(connection, [&](Connection& own) { own.permit(permit); });
  });
}

void Front::drop_idle() {
  for (const auto& loop : loops_) loop->post([](Loop& own) { own.drop_idle(); });
}

std::vector<FrontEvent> Front::take_events() {
  std::vector<FrontEvent> taken;
  const Lock lock(outbox_->mutex);
  taken.swap(outbox_->events);
  return taken;
}

std::uint64_t Front::sent_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& loop : loops_) bytes += loop->sent_bytes();
  return bytes;
}

}  // namespace parentfs::serving
