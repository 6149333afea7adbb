/** One connection of the serving port without threads: both its sides and the clock are the test's. */
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/connection.h"
#include "test/images.h"
#include "test/serving-world.h"

namespace parentfs::test {

namespace bare_connection {

using serving::Connection;
using Clock = Connection::Clock;
using std::chrono::hours;

inline constexpr std::string_view get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
inline constexpr std::uint64_t block = spliced_block;
inline constexpr std::string_view partial = "HTTP/1.1 206 Partial Content\r\n";
/** Far beyond what a socket and a link hold. */
inline constexpr std::size_t much = std::size_t{4} << 20;

/** Limits that no delay of the machine confuses: each is told by its hours. */
inline constexpr std::chrono::milliseconds handshake = hours(1);
inline constexpr std::chrono::milliseconds head = hours(2);
inline constexpr std::chrono::milliseconds idle = hours(3);
inline constexpr std::chrono::milliseconds take = hours(4);

struct Bare {
  /** @param room_bytes of the socket, for bytes that the client has not taken */
  explicit Bare(int room_bytes = 8192) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) std::abort();
    client = OwnedFd(ends[0]);
    ::setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof room_bytes);
    connection.emplace(host, 7, OwnedFd(ends[1]), nullptr);
  }

  /** As epoll tells of all that may be there. @returns whether it goes on */
  bool go_on() {
    constexpr std::uint32_t all = EPOLLIN | EPOLLOUT;
    return connection->advance(false, all) && (!is_linked || connection->advance(true, all));
  }
  bool say(std::string_view text) {
    write_to(client, text);
    return go_on();
  }
  /** TypeScript's end of the link. */
  OwnedFd& link() {
    for (FrontEvent& event : told) {
      if (event.kind == FrontEvent::Kind::link) taken = std::move(event.link);
    }
    told.clear();
    return taken;
  }
  bool answer(std::string_view text) {
    write_to(link(), text);
    return go_on();
  }
  /** Is this limit, and none that is shorter, the one that holds now? */
  [[nodiscard]] bool is_limited_to(std::chrono::milliseconds limit) const {
    const auto now = Clock::now();
    const auto end = now + limit;
    return connection->is_late(end + milliseconds(1)) && !connection->is_late(end - std::chrono::minutes(30));
  }
  [[nodiscard]] bool is_unlimited() const { return !connection->is_late(Clock::now() + hours(24)); }

  static std::string now_at(const OwnedFd& fd) {
    std::string text(much, '\0');
    const ssize_t got = ::recv(fd.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  static bool has_ended(const OwnedFd& fd) {
    char byte = 0;
    return ::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }
  /** All that the client gets while the connection goes on, up to so many bytes. */
  std::string heard(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes && go_on()) {
      const std::string piece = now_at(client);
      if (piece.empty() && !bring_wanted()) break;
      text += piece;
    }
    return text;
  }
  /** As a store thread: pages of a file that was just written may not be had without waiting. @returns false: nothing waits */
  bool bring_wanted() {
    if (!wanted) return false;
    const auto [file, offset, bytes] = *std::exchange(wanted, {});
    auto piece = std::make_shared<serving::BroughtPiece>();
    piece->offset = offset;
    piece->bytes.resize(bytes);
    piece->is_there = file->read_for_other(offset, piece->bytes, image::Blocking::yes) == image::ReadOutcome::hit;
    connection->brought(std::move(piece));
    return true;
  }
  std::uint64_t sent() {
    for (const FrontEvent& event : std::exchange(told, {})) {
      if (event.kind == FrontEvent::Kind::sent) return event.bytes;
    }
    return ~std::uint64_t{0};
  }

  serving::FrontLimits limits{.threads = 1, .head_bytes_max = 8192, .handshake_max = handshake, .head_max = head,
                              .idle_max = idle, .take_max = take, .objects_max = 16, .members_max = 4};
  serving::PieceSender pieces;
  serving::Permits permits{16, 4};
  std::vector<FrontEvent> told;
  bool is_linked = false;
  struct Wanted {
    std::shared_ptr<image::DataFile> file;
    std::uint64_t offset;
    std::size_t bytes;
  };
  std::optional<Wanted> wanted;
  std::size_t brings = 0;
  std::size_t turns = 0;
  std::size_t counted = 0;
  serving::ConnectionHost host{
      .limits = &limits,
      .pieces = &pieces,
      .tell = [this](FrontEvent event) { told.push_back(std::move(event)); },
      .watch = [this](int /*fd*/, std::uint32_t /*number*/, bool is_link) { return is_linked = is_link; },
      .bring =
          [this](std::uint32_t /*number*/, std::shared_ptr<image::DataFile> file, std::uint64_t offset, std::size_t bytes) {
            brings++;
            wanted = {.file = std::move(file), .offset = offset, .bytes = bytes};
          },
      .count = [this](std::size_t bytes) { counted += bytes; },
      .permits = &permits,
      .again = [this](std::uint32_t /*number*/) { turns++; }};
  OwnedFd client;
  OwnedFd taken;
  std::optional<Connection> connection;
};

}  // namespace bare_connection

}  // namespace parentfs::test
