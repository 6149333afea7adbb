/** A front, and both sides of it: a client, and the part that TypeScript plays. */
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/store-threads.h"
#include "serving/front.h"
#include "test/harness.h"

namespace parentfs::test {

using serving::Front;
using serving::FrontEvent;
using std::chrono::milliseconds;

/** Folios do not reach into another object at this size of blocks: its pages are spliced. */
inline constexpr std::uint32_t spliced_block = 65536;
inline constexpr std::uint32_t copied_block = 4096;

inline serving::FrontLimits front_limits(milliseconds most = milliseconds(60'000)) {
  return {.threads = 2, .head_bytes_max = 8192, .handshake_max = most, .head_max = most, .idle_max = most, .take_max = most,
          .objects_max = 16, .members_max = 4};
}

/** Both ends of a connection over loopback. */
inline std::pair<OwnedFd, OwnedFd> connected() {
  const OwnedFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), any, length) != 0 || ::listen(listener.get(), 1) != 0) std::abort();
  ::getsockname(listener.get(), any, &length);
  OwnedFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(client.get(), any, length) != 0) std::abort();
  return {std::move(client), OwnedFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

/** Reads so many bytes, or what comes before the end. */
inline std::string read_from(const OwnedFd& fd, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    pollfd waited{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waited, 1, 60'000) <= 0) break;
    const ssize_t got = ::recv(fd.get(), text.data() + done, bytes - done, MSG_DONTWAIT);
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

inline void write_to(const OwnedFd& fd, std::string_view text) { (void)!::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL); }

/** A front, and the part that TypeScript plays. */
struct FrontWorld {
  explicit FrontWorld(serving::FrontLimits most = front_limits())
      : front(std::make_unique<Front>(most, [] {}, [this](disk::StoreThreads::Job job) {
          jobs++;
          if (before_job) before_job();
          return threads.submit(disk::Lane::read, std::move(job));
        })) {}

  /** The next event of a kind; others are dropped. */
  FrontEvent next(FrontEvent::Kind kind) {
    FrontEvent found{.connection = 0, .kind = FrontEvent::Kind::closed, .link = {}, .certificate = {}};
    until([&] {
      for (FrontEvent& event : front->take_events()) waiting.push_back(std::move(event));
      while (!waiting.empty()) {
        FrontEvent event = std::move(waiting.front());
        waiting.erase(waiting.begin());
        if (event.kind != kind) continue;
        found = std::move(event);
        return true;
      }
      return false;
    });
    return found;
  }

  std::atomic<int> jobs{0};
  /** Runs between a read without waiting and the job that waits for the disk. */
  std::function<void()> before_job;
  disk::StoreThreads threads{2};
  std::vector<FrontEvent> waiting;
  std::unique_ptr<Front> front;
};

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace parentfs::test
