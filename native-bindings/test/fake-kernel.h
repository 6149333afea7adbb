/**
 * The other end of /dev/fuse: a socket that keeps messages apart, on which a test asks and reads answers.
 */
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "owned-fd.h"
#include "session/session.h"
#include "test/harness.h"
#include "wire/fuse.h"

namespace parentfs::test {

struct Answer {
  wire::OutHeader header;
  std::vector<std::byte> bytes;
};

/** A READ as the kernel writes it. */
inline std::vector<std::byte> read_request(std::uint64_t unique, std::uint64_t fh, std::uint64_t offset,
                                           std::uint32_t size) {
  const wire::InHeader header{.length = sizeof(wire::InHeader) + sizeof(wire::ReadIn),
                              .opcode = wire::opcode_read,
                              .unique = unique,
                              .node_id = 2,
                              .uid = 0,
                              .gid = 0,
                              .pid = 1,
                              .extension_length = 0,
                              .padding = 0};
  wire::ReadIn in{};
  in.fh = fh;
  in.offset = offset;
  in.size = size;
  std::vector<std::byte> bytes(sizeof header + sizeof in);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(&bytes[sizeof header], &in, sizeof in);
  return bytes;
}

class FakeKernel {
 public:
  FakeKernel() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) std::abort();
    kernel_ = OwnedFd(fds[0]);
    device_ = OwnedFd(fds[1]);
    // An answer of 1 MiB is one message; only root may have it queued.
    const int room = 4 * 1024 * 1024;
    ::setsockopt(device_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  }

  /** The session's end. */
  [[nodiscard]] int device() const { return device_.get(); }
  void hang_up() { kernel_.reset(); }

  void ask(std::span<const std::byte> request) const {
    if (::send(kernel_.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) std::abort();
  }

  /** The next answer, or nothing within `deadline_ms`. */
  [[nodiscard]] std::optional<Answer> answer(int deadline_ms = 60'000) const {
    pollfd waiting{.fd = kernel_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, deadline_ms) != 1) return std::nullopt;
    const ssize_t length = ::recv(kernel_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
    if (length < 0) return std::nullopt;
    std::vector<std::byte> bytes(static_cast<std::size_t>(length));
    const ssize_t got = ::recv(kernel_.get(), bytes.data(), bytes.size(), 0);
    if (got < static_cast<ssize_t>(sizeof(wire::OutHeader))) return std::nullopt;
    Answer answer{};
    std::memcpy(&answer.header, bytes.data(), sizeof answer.header);
    answer.bytes.assign(bytes.begin() + sizeof answer.header, bytes.begin() + got);
    return answer;
  }

 private:
  OwnedFd kernel_;
  OwnedFd device_;
};

/** A session on a fake kernel, and what it told its listener. */
struct Rig {
  explicit Rig(unsigned session_threads = 2, unsigned store_thread_count = 2,
               session::Addressing addressing = session::Addressing::by_handle)
      : store_threads(store_thread_count),
        session(kernel.device(), session_threads, store_threads, clock,
                {.on_waiting = [this] { calls++; },
                 .on_end =
                     [this](int error) {
                       end_error = error;
                       ends++;
                     }},
                addressing) {
    clock.tick = 5;
  }

  /** The requests forwarded since the last look. */
  [[nodiscard]] std::vector<std::vector<std::byte>> forwarded() {
    std::vector<std::vector<std::byte>> requests;
    const std::vector<std::byte> batch = session.take_requests();
    for (std::size_t at = 0; at < batch.size();) {
      session::RequestQueue::Prefix prefix{};
      std::memcpy(&prefix, &batch[at], sizeof prefix);
      at += sizeof prefix;
      requests.emplace_back(batch.begin() + static_cast<long>(at), batch.begin() + static_cast<long>(at + prefix.length));
      at += (prefix.length + 7) / 8 * 8;
      waited_ms = prefix.waited_ms;
    }
    return requests;
  }

  /** Wait until so many requests were forwarded since the last look: each is counted before it can be taken. */
  [[nodiscard]] std::vector<std::vector<std::byte>> next_forwarded(std::size_t count) {
    std::vector<std::vector<std::byte>> requests;
    (void)until([&] {
      std::ranges::move(forwarded(), std::back_inserter(requests));
      return requests.size() >= count;
    });
    return requests;
  }

  /** Wait for a request to be forwarded. */
  [[nodiscard]] std::vector<std::byte> next_forwarded() {
    const auto requests = next_forwarded(1);
    return requests.empty() ? std::vector<std::byte>() : requests.front();
  }

  /** Wait for reports; those since the last look. */
  [[nodiscard]] std::vector<session::ReadReports::Record> next_reports() {
    std::vector<std::byte> batch;
    if (!until([&] { return !(batch = session.take_reports()).empty(); })) return {};
    std::vector<session::ReadReports::Record> reports(batch.size() / sizeof(session::ReadReports::Record));
    std::memcpy(reports.data(), batch.data(), reports.size() * sizeof(session::ReadReports::Record));
    return reports;
  }

  FakeKernel kernel;
  session::Clock clock;
  std::atomic<int> calls{0};
  std::atomic<int> ends{0};
  std::atomic<int> end_error{-1};
  /** The time for which the last forwarded one had waited for an origin. */
  std::uint32_t waited_ms = 0;
  disk::StoreThreads store_threads;
  session::Session session;
};

}  // namespace parentfs::test
